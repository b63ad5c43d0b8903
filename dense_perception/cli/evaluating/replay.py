"""A bag through the real perception node, frame by frame."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dense_perception.cli import observer as topics
from dense_perception.cli.command import CommandError
from dense_perception.cli.evaluating.player import Player
from dense_perception.cli.observer import Frame, Observer, Sample
from dense_perception.cli.processes import NodeGroup, free_domain
from dense_perception.sources.bag import Bag
from dense_perception.sources.base import Frame as Source
from dense_perception.sources.base import Lens, SourceError
from dense_perception.sources.opening import DEMO_CLIP

_ASSUMED_FOV = 60.0
_QUIET_S = 1.0
_SILENCE = 'no image comes on'


@dataclass(frozen=True)
class Recording:
    """A bag: number of images, and the topic of each kind that is there."""

    path: Path
    images: int
    topics: Mapping[str, str]

    @classmethod
    def open(cls, spec: str) -> Recording:
        """Look into a bag; ``demo`` is the shipped clip.

        :raises CommandError: there is none, or it has no images.
        """
        path = DEMO_CLIP if spec == 'demo' else Path(spec).expanduser()
        if not path.exists():
            raise CommandError(f'there is no bag "{spec}"; give the folder of a rosbag2 bag, one '
                               '.mcap or .db3 file, or "demo"')
        try:
            bag = _bag(path, [])
            return cls(path, bag.count('colour'), bag.topics)
        except SourceError as error:
            raise CommandError(str(error)) from None


class Replay:
    """Plays a recording once; what was heard is there while and after it is played.

    :param parameters: of the perception node.
    :param rate: images per second; 0 = as recorded.
    :param logs: folder for the node's log.
    """

    def __init__(self, recording: Recording, parameters: Mapping[str, Any], rate: float,
                 logs: Path) -> None:
        self._recording = recording
        self._parameters = parameters
        self._rate = rate
        self._logs = logs
        self.sent = 0
        self.frames: list[Frame] = []
        self.warnings: list[str] = []
        """What the source and the node found odd."""

    def samples(self) -> Iterator[Sample]:
        """Every frame that came out, as it comes, with what the recording says of it.

        :raises CommandError: the node failed, the bag is damaged, or nothing came out.
        """
        odd: list[str] = []
        with NodeGroup(free_domain(), self._logs) as group, Observer(
                group.domain, (*topics.OUTPUTS, topics.OBSTACLES), 0.0) as observer:
            player = Player(observer.node, _bag(self._recording.path, odd), self._rate)
            self.frames = observer.frames
            perception = group.start('perception', self._parameters)
            group.wait_for('sign of life of the perception node', lambda: player.heard,
                           observer.spin)
            player.start()
            try:
                for _ in self._spin(group, observer, player):
                    for sample in observer.take():
                        if frame := player.played.get(sample.stamp):
                            yield _with_truth(sample, frame)
            finally:
                player.stop()
            self.sent = player.sent
            # That there was no image before it began to play is nothing to report.
            said = [w for w in perception.warnings() if not w.startswith(_SILENCE)]
            self.warnings = odd + said
            if player.error or not observer.frames:
                raise CommandError(str(player.error) if player.error else
                                   'nothing came out of the perception node: '
                                   + ('; '.join(said) or 'it gave no reason'))

    def _spin(self, group: NodeGroup, observer: Observer, player: Player) -> Iterator[None]:
        """Until all is played and the node has worked off what it got."""
        quiet = 0.0
        with tqdm(total=self._recording.images, desc='evaluate', unit='frame',
                  mininterval=0.1 if sys.stderr.isatty() else 5.0) as bar:
            while quiet < _QUIET_S:
                observer.spin(0.05)
                group.check()
                new = len(observer.frames) - bar.n
                quiet = 0.0 if player.playing or new else quiet + 0.05
                bar.update(new)
                yield


def _with_truth(sample: Sample, frame: Source) -> Sample:
    sample = replace(sample, image=frame.image, mount=frame.mount)
    # The truth of a distorted image is not that of its rectified pixels.
    return sample if sample.rectified else replace(sample, true_depth=frame.depth,
                                                   true_labels=frame.labels)


def _bag(path: Path, odd: list[str]) -> Bag:
    return Bag(path, Lens(_ASSUMED_FOV, odd.append), odd.append)

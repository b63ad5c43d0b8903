"""A bag through the real perception node, frame by frame."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dense_perception.cli import observer as topics
from dense_perception.cli.command import CommandError
from dense_perception.cli.observer import Frame, Observer, Sample
from dense_perception.cli.processes import NodeGroup, free_domain
from dense_perception.sources.bag import Bag
from dense_perception.sources.base import Lens, SourceError
from dense_perception.sources.opening import DEMO_CLIP

_TOPICS = (topics.IMAGE, *topics.OUTPUTS, topics.OBSTACLES, topics.TRUE_DEPTH, topics.TRUE_MASK)
_QUIET_S = 1.0
_SILENCE = 'no image comes on'


@dataclass(frozen=True)
class Recording:
    """What a bag has: number of images, and the topic of each kind that is there."""

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
            bag = Bag(path, Lens(60.0, _ignore), _ignore)
            return cls(path, bag.count('colour'), bag.topics)
        except SourceError as error:
            raise CommandError(str(error)) from None


class Replay:
    """Plays a recording once; what the nodes said is there while and after it is played.

    :param parameters: of the perception node.
    :param rate: images per second; 0 = as recorded.
    :param logs: folder for the nodes' logs.
    """

    def __init__(self, recording: Recording, parameters: Mapping[str, Any], rate: float,
                 logs: Path) -> None:
        self._recording = recording
        self._parameters = parameters
        self._rate = rate
        self._logs = logs
        self.frames: list[Frame] = []
        self.warnings: list[str] = []

    def samples(self) -> Iterator[Sample]:
        """Every frame that came out (of a recording with truth: those with truth), as it comes.

        :raises CommandError: a node failed, or nothing came out of it.
        """
        with NodeGroup(free_domain(), self._logs) as group, \
                Observer(group.domain, _TOPICS, 0.0) as observer:
            self.frames = observer.frames
            perception = group.start('perception', self._parameters)
            # The source plays as soon as anybody listens: the node must be there by then.
            group.wait_for('sign of life of the perception node',
                           lambda: observer.heard_by('perception'), observer.spin)
            source = group.start('image_source', {
                'source': str(self._recording.path), 'rate': self._rate, 'loop': False})
            for _ in self._spin(group, observer, lambda: source.exit_code is not None):
                yield from observer.take()
            # That there was no image before the source had started is nothing to report.
            self.warnings = [w for w in perception.warnings() if not w.startswith(_SILENCE)]
            if not observer.frames:
                raise CommandError('nothing came out of the perception node: '
                                   + ('; '.join(self.warnings) or 'it gave no reason'))

    def _spin(self, group: NodeGroup, observer: Observer, ended) -> Iterator[None]:
        """Until the source has ended and the node has worked off what it got."""
        quiet = 0.0
        with tqdm(total=self._recording.images, desc='evaluate', unit='frame',
                  mininterval=0.1 if sys.stderr.isatty() else 5.0) as bar:
            while quiet < _QUIET_S:
                observer.spin(0.05)
                group.check()
                new = len(observer.frames) - bar.n
                quiet = quiet + 0.05 if ended() and not new else 0.0
                bar.update(new)
                yield


def _ignore(sentence: str) -> None:
    """The image source says the same again, and its log is kept."""

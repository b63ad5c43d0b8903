"""``dense-perception demo``: a source through the perception node, pictured and measured."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dense_perception.cli import observer as topics
from dense_perception.cli.command import CommandError
from dense_perception.cli.mosaic import Mosaic, choose_rows, metric_limits
from dense_perception.cli.observer import Observer, Sample
from dense_perception.cli.processes import NodeGroup, free_domain
from dense_perception.cli.sheet import save
from dense_perception.cli.summary import accuracy, protocol, timing
from dense_perception.inference.backends import BACKENDS
from dense_perception.inference.card import ModelCard
from dense_perception.inference.model_file import ModelFile, ModelFileError

_ROWS = 4
_SAMPLES = 32
_TOPICS = (topics.IMAGE, *topics.OUTPUTS, topics.TRUE_DEPTH, topics.TRUE_MASK)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument('--duration', type=_positive, default=20.0, metavar='SECONDS',
                        help='how long to play, from the first result on (default: 20)')
    parser.add_argument('--source', default='demo', help='"demo" (the shipped clip), "world" (the '
                        'procedural world), a folder of images, a video file, a rosbag2 bag or '
                        '/dev/videoN (default: demo)')
    parser.add_argument('--out', type=Path, default=Path('out/demo'), metavar='FOLDER',
                        help='folder for the results (default: out/demo)')
    parser.add_argument('--model', default='xnet_small',
                        help='shipped model or path of a model file (default: xnet_small)')
    parser.add_argument('--backend', default='auto', choices=('auto', *BACKENDS),
                        help='runtime of the model (default: auto)')


def run(args: argparse.Namespace) -> int:
    """Play, picture, measure; see the README's demo section for what is written."""
    _prepare_folder(args.out)
    card = _card(args.model)
    with NodeGroup(free_domain(), args.out / 'logs') as group, \
            Observer(group.domain, _TOPICS, args.duration / _SAMPLES) as observer:
        print(f'demo: {args.source} through {card.name}, on ROS domain {group.domain}', flush=True)
        perception = group.start('perception', {'model': args.model, 'backend': args.backend})
        group.start('image_source', {'source': args.source})
        mosaic = Mosaic(card.classes, protocol(card))
        group.wait_for('result', lambda: observer.samples, observer.spin)
        _picture(mosaic, observer.samples, _title(observer), args.out)
        print(f'demo: first picture in {args.out / "mosaic.png"}', flush=True)
        _play(group, observer, args.duration)
        notes = perception.warnings()
    rows = choose_rows(observer.samples, _ROWS)
    _picture(mosaic, rows, _title(observer), args.out)
    _save_frames(mosaic, rows, args.out / 'frames')
    summary = timing(observer.frames) | accuracy(observer.samples, card)
    (args.out / 'summary.json').write_text(json.dumps(summary, indent=2) + '\n')
    _report(summary, notes, observer.samples, args.out)
    return 0


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float('inf'):
        raise argparse.ArgumentTypeError(f'{text} is not above 0')
    return value


def _card(model: str) -> ModelCard:
    try:
        return ModelFile.open(model).card
    except ModelFileError as error:
        raise CommandError(str(error)) from None


def _prepare_folder(folder: Path) -> None:
    """Make the folder; earlier results go, so that nobody takes them for this run's."""
    try:
        (folder / 'frames').mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f'cannot write to {folder}: {error.strerror}') from None
    for old in (folder / 'mosaic.png', folder / 'summary.json', *folder.glob('frames/*.png')):
        old.unlink(missing_ok=True)


def _play(group: NodeGroup, observer: Observer, duration: float) -> None:
    start = time.monotonic()
    form = '{desc} {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s{postfix}'
    pause = 0.1 if sys.stderr.isatty() else 5.0  # a log file needs no animation
    with tqdm(total=duration, desc='demo', bar_format=form, mininterval=pause) as bar:
        while (passed := time.monotonic() - start) < duration:
            observer.spin(min(0.2, duration - passed))
            group.check()
            bar.set_postfix_str(f'{len(observer.frames)} frames', refresh=False)
            bar.update(min(time.monotonic() - start, duration) - bar.n)
            if all(node.exit_code is not None for node in group.nodes):
                return


def _title(observer: Observer) -> str:
    last = observer.frames[-1]
    rate = timing(observer.frames)['fps']
    return f'dense_perception   {last.model} on {last.backend}' + (
        f', {rate:.1f} frames/s' if rate else '')


def _picture(mosaic: Mosaic, samples: Sequence[Sample], title: str, folder: Path) -> None:
    save(folder / 'mosaic.png', mosaic.paint(samples, title))


def _save_frames(mosaic: Mosaic, samples: Sequence[Sample], folder: Path) -> None:
    limits = metric_limits(samples)
    for number, sample in enumerate(samples, start=1):
        for name, (tile, _) in zip(('camera', 'depth', 'mask', 'cloud'),
                                   mosaic.tiles(sample, limits)):
            save(folder / f'{number:02d}_{name}.png', tile)


def _report(summary: dict[str, Any], notes: Sequence[str], samples: Sequence[Sample],
            folder: Path) -> None:
    depth, masks = summary['depth'], summary['segmentation']
    print(f'demo: {summary["frames_out"]} of {summary["frames_in"]} frames, '
          f'{summary["dropped"]} dropped, {summary["fps"]} frames/s; '
          f'latency {summary["latency_ms"]["p50"]} ms (p50), of which inference '
          f'{summary["inference_ms"]["p50"]} ms')
    if depth['abs_rel'] is not None:
        print(f'demo: against the truth: AbsRel {depth["abs_rel"]}, d1 {depth["d1"]}, '
              f'mIoU {masks["miou"]}')
    elif any(s.depth is not None and not s.metric for s in samples):
        print('demo: depth is relative, so it has no accuracy in metres')
    for note in notes:
        print(f'demo: note: {note}')
    print(f'demo: picture in {folder / "mosaic.png"}, numbers in {folder / "summary.json"}')

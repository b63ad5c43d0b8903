"""``dense-perception-robustness``: how a model fares as conditions worsen, one axis at a time.

Every axis changes the same held-out frames in one way, step by step, from what the model may
expect to what no robot should meet; the truth stays exact.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from dense_perception.inference.backends import BackendError
from dense_perception.inference.model_file import ModelFileError
from dense_perception.inference.predictor import Predictor
from dense_perception_training.datasets import DenseDataset, Sample, list_datasets, open_dataset
from dense_perception_training.evaluate import open_model
from dense_perception_training.report import rounded
from dense_perception_training.scores import Scores
from dense_perception_training.shape import DRIVES, Shape, scale_drift
from dense_perception_training.transforms import bordered, crop, noisy
from dense_perception_training.validation import predict, thinned

Change = Callable[[Sample, float, np.random.Generator], Sample]

_GAMMA = 2.2  # of the display: light adds up before it, not after


@dataclass(frozen=True)
class Axis:
    """One way in which conditions differ from the rendered ones.

    ``steps``: levels in ``unit``. ``harmless``: the level that changes nothing; None = no level
    does. ``change(sample, level, rng)`` gives the changed sample.
    """

    unit: str
    steps: tuple[float, ...]
    harmless: float | None
    change: Change


def _light(sample: Sample, stops: float, rng: np.random.Generator) -> Sample:
    linear = (np.arange(256) / 255) ** _GAMMA * 2.0 ** stops
    table = (255 * np.clip(linear, 0, 1) ** (1 / _GAMMA)).round().astype(np.uint8)
    return replace(sample, image=cv2.LUT(sample.image, table))


def _colour(sample: Sample, stops: float, rng: np.random.Generator) -> Sample:
    gains = 2.0 ** (np.array([0.5, 0, -0.5]) * stops / _GAMMA)
    return replace(sample, image=np.clip(sample.image * gains, 0, 255).astype(np.uint8))


def _noise(sample: Sample, deviation: float, rng: np.random.Generator) -> Sample:
    return replace(sample, image=noisy(sample.image, deviation, rng))


def _blur(sample: Sample, sigma: float, rng: np.random.Generator) -> Sample:
    if not sigma:
        return sample
    return replace(sample, image=cv2.GaussianBlur(sample.image, (0, 0), sigma))


def _motion(sample: Sample, length: float, rng: np.random.Generator) -> Sample:
    kernel = np.full((1, int(length)), 1 / int(length), np.float32)
    return replace(sample, image=cv2.filter2D(sample.image, -1, kernel))


def _jpeg(sample: Sample, quality: float, rng: np.random.Generator) -> Sample:
    _, coded = cv2.imencode('.jpg', sample.image[..., ::-1],
                            [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    return replace(sample, image=cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1].copy())


def _border(sample: Sample, width: float, rng: np.random.Generator) -> Sample:
    return bordered(sample, np.full(4, width), 0.0, int(rng.choice((0, 255))))


def _zoom(sample: Sample, factor: float, rng: np.random.Generator) -> Sample:
    rows, columns = sample.size
    height, width = round(rows / factor), round(columns / factor)
    return crop(sample, (rows - height) // 2, (columns - width) // 2, height, width)


def _pitch(sample: Sample, degrees: float, rng: np.random.Generator) -> Sample:
    return _gravity_turned(sample, (1.0, 0.0, 0.0), degrees)


def _roll(sample: Sample, degrees: float, rng: np.random.Generator) -> Sample:
    return _gravity_turned(sample, (0.0, 0.0, 1.0), degrees)


def _gravity_turned(sample: Sample, axis: tuple[float, float, float], degrees: float) -> Sample:
    rotation, _ = cv2.Rodrigues(math.radians(degrees) * np.array(axis))
    return replace(sample, gravity=rotation @ sample.gravity)


def _height(sample: Sample, factor: float, rng: np.random.Generator) -> Sample:
    return replace(sample, camera_height=sample.camera_height * factor)


PICTURE = {
    'light': Axis('stops', (-4, -3, -2, -1, 0, 1, 2, 3), 0, _light),
    'colour cast': Axis('stops of red over blue', (-2, -1, 0, 1, 2), 0, _colour),
    'noise': Axis('grey levels, standard deviation', (0, 4, 8, 16, 32, 64), 0, _noise),
    'defocus': Axis('pixels, standard deviation', (0, 0.5, 1, 2, 4), 0, _blur),
    'motion blur': Axis('pixels', (1, 3, 7, 15, 31), 1, _motion),
    'JPEG': Axis('quality', (95, 60, 30, 15, 5), None, _jpeg),
    'border': Axis('pixels, black or white', (0, 1, 2, 4, 8, 16), 0, _border),
    'focal length': Axis('times the rendered one', (1, 1.25, 1.6, 2, 2.5, 3), 1, _zoom)}
MOUNT = {
    'pitch error': Axis('degrees', (-8, -4, -2, -1, 0, 1, 2, 4, 8), 0, _pitch),
    'roll error': Axis('degrees', (-8, -4, -2, 0, 2, 4, 8), 0, _roll),
    'height error': Axis('told over true', (0.5, 0.7, 0.85, 1, 1.15, 1.4, 2), 1, _height)}
"""Axes of what is told of the mount: only for models and data that have one."""


def measure(predictor: Predictor, dataset: DenseDataset, axes: Mapping[str, Axis],
            limit: int | None = None) -> dict[str, dict[str, dict[str, float]]]:
    """Scores by axis and level: ``abs_rel``, ``d1``, ``miou`` and each class's IoU.

    :param limit: this many images, evenly spread; None = all.
    """
    scores: dict[tuple[str, float], Scores] = {}
    count = len(dataset) if limit is None else min(limit, len(dataset))
    for number, sample in enumerate(tqdm(thinned(dataset, limit), total=count, unit='image',
                                         desc='robustness')):
        for name, axis in axes.items():
            for level in axis.steps:
                changed = axis.change(sample, level, np.random.default_rng(number))
                prediction = predict(predictor, changed)
                if (name, level) not in scores:
                    scores[name, level] = Scores(dataset.info, predictor.card, prediction.metric)
                scores[name, level].add(prediction, changed)
    found: dict[str, dict[str, dict[str, float]]] = {name: {} for name in axes}
    for (name, level), measured in scores.items():
        found[name][f'{level:g}'] = _figures(measured.result())
    return found


def _figures(result: dict[str, Any]) -> dict[str, float]:
    figures = {name: result[task][name] for task, name in (
        ('depth', 'abs_rel'), ('depth', 'd1'), ('segmentation', 'miou')) if task in result}
    return figures | {f'iou {name}': value for name, value in result.get('iou', {}).items()}


def markdown(title: str, found: Mapping[str, Any], axes: Mapping[str, Axis]) -> str:
    """One table an axis, one for the shape."""
    lines = [f'## {title}', '', f'- data: {found["data"]}', f'- frames: {found["frames"]}']
    for name, levels in found['axes'].items():
        names = [n for n in next(iter(levels.values())) if not n.startswith('iou ')
                 or n == 'iou person']
        lines += ['', f'### {name}', '', f'| {axes[name].unit} | {" | ".join(names)} |',
                  '|---' * (len(names) + 1) + '|']
        lines += [f'| {level} | ' + ' | '.join(f'{figures.get(n, math.nan):.3f}' for n in names)
                  + ' |' for level, figures in levels.items()]
    shape = {**(found.get('shape') or {}), **(found.get('drive') or {})}
    if shape:
        lines += ['', '### shape and drift', '', '| | |', '|---|---|']
        lines += [f'| {name} | {value:.4g} |' for name, value in shape.items()]
    return '\n'.join(lines) + '\n'


def draw(path: Path, found: Mapping[str, Any], axes: Mapping[str, Axis]) -> None:
    """One panel an axis: AbsRel, and mIoU where there is one, over the level; a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    rows = -(-len(found['axes']) // 3)
    figure = Figure(figsize=(11, 2.6 * rows), layout='constrained')
    FigureCanvasAgg(figure)
    for number, (name, levels) in enumerate(found['axes'].items()):
        panel = figure.add_subplot(rows, 3, number + 1)
        for metric, colour in (('abs_rel', 'tab:red'), ('miou', 'tab:blue')):
            points = [(float(level), f[metric]) for level, f in levels.items() if metric in f]
            if points:
                panel.plot(*zip(*points, strict=True), 'o-', color=colour, label=metric,
                           markersize=3)
        if (harmless := axes[name].harmless) is not None:
            panel.axvline(harmless, color='grey', linewidth=0.7)
        panel.set_title(f'{name} ({axes[name].unit})', fontsize=9)
        panel.set_ylim(0, 1)
        panel.grid(alpha=0.3)
    figure.axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=90)


def run(predictor: Predictor, dataset: DenseDataset, axes: Mapping[str, Axis],
        limit: int | None, describe: str, drives: int) -> dict[str, Any]:
    """Everything this command measures.

    :param drives: scenes of the procedural world to drive through, for the drift of the scale.
    """
    shape = Shape()
    for sample in thinned(dataset, limit):
        if sample.depth is not None:
            shape.add(predict(predictor, sample), sample)
    found: dict[str, Any] = {
        'data': describe, 'frames': min(limit or len(dataset), len(dataset)),
        'axes': measure(predictor, dataset, axes, limit), 'shape': shape.result()}
    if drives:
        found['drive'] = scale_drift(predictor, drives)
    return rounded({k: v for k, v in found.items() if v is not None})


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``dense-perception-robustness``."""
    args = _parser().parse_args(arguments)
    try:
        predictor = open_model(args.model, args.backend)
        dataset = open_dataset(args.dataset, args.data, args.split)
        axes = _axes(args.axes, predictor, dataset)
        found = run(predictor, dataset, axes, args.limit, args.describe or args.dataset,
                    args.drives)
    except (ModelFileError, BackendError, ValueError) as error:
        raise SystemExit(f'dense-perception-robustness: {error}') from None
    text = markdown(predictor.card.name, found, axes)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / 'robustness.json').write_text(json.dumps(found, indent=1) + '\n')
        (args.out / 'robustness.md').write_text(text)
        draw(args.out / 'robustness.png', found, axes)
    print(json.dumps(found, indent=1) if args.json else text)


def _axes(wanted: Sequence[str], predictor: Predictor, dataset: DenseDataset) -> dict[str, Axis]:
    sample = next(thinned(dataset, 1))
    mount = (predictor.card.takes_mount and sample.gravity is not None
             and sample.camera_height is not None)
    known = {**PICTURE, **(MOUNT if mount else {})}
    if unknown := sorted(set(wanted) - known.keys()):
        raise ValueError(f'no axis {", ".join(unknown)} for this model and data; there are '
                         f'{", ".join(known)}')
    return {name: axis for name, axis in known.items() if not wanted or name in wanted}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='dense-perception-robustness', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model', help='model file, name of a shipped model, or a training run')
    parser.add_argument('--data', type=Path, required=True, help='folder of the dataset')
    parser.add_argument('--dataset', default='world', choices=list_datasets(), metavar='NAME',
                        help=f'one of {", ".join(list_datasets())} (default: world)')
    parser.add_argument('--split', help="one of the dataset's splits")
    parser.add_argument('--backend', default='auto', help='runtime of a model file')
    parser.add_argument('--axes', nargs='+', default=(), metavar='AXIS',
                        help=f'of {", ".join({**PICTURE, **MOUNT})} (default: all)')
    parser.add_argument('--limit', type=int, default=200,
                        help='this many images, evenly spread (default: 200)')
    parser.add_argument('--drives', type=int, default=len(DRIVES), metavar='N',
                        help='drives through the procedural world, for the drift of the scale '
                             f'(default: {len(DRIVES)}; 0 leaves it out)')
    parser.add_argument('--describe', help='what the result calls the data')
    parser.add_argument('--out', type=Path,
                        help='folder for robustness.json, robustness.md and robustness.png')
    parser.add_argument('--json', action='store_true', help='print JSON instead of Markdown')
    return parser


if __name__ == '__main__':
    main()

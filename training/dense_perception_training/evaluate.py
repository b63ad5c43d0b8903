"""``dense-perception-eval``: measure a model file or a training run on any dataset."""

from __future__ import annotations

import argparse
import csv
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from onnx import helper
from torch import nn
from tqdm import tqdm

from dense_perception.export.cards import sized
from dense_perception.export.reference import TorchPredictor
from dense_perception.export.weights import WeightsError, load_weights
from dense_perception.inference.backends import BackendError
from dense_perception.inference.card import METADATA_KEY, ModelCard
from dense_perception.inference.model_file import ModelFileError
from dense_perception.inference.prediction import Prediction
from dense_perception.inference.predictor import Predictor
from dense_perception.models.tta import FlipAverage, ScaleAverage, SlidingWindow
from dense_perception_training.baseline import image_free_priors, per_pixel_baseline
from dense_perception_training.datasets import (
    DatasetError,
    DenseDataset,
    Sample,
    SampleError,
    list_datasets,
    open_dataset,
    parse_option,
)
from dense_perception_training.report import markdown, rounded
from dense_perception_training.scores import Scores, at_size
from dense_perception_training.validation import predict, row_of_pictures, sheet

_PICTURES = 12
WITHOUT = '_without_mount'


@dataclass
class Evaluation:
    """Scores with everything known of the camera and, for models that take it, without the mount.

    ``rows``: one dict per image, for the table by image. ``pictures``: rows of a sheet.
    """

    scores: dict[str, Scores] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    pictures: list[np.ndarray] = field(default_factory=list)
    skipped: int = 0

    def result(self) -> dict[str, Any]:
        """All scores; those without the mount have names that end in ``_without_mount``."""
        found: dict[str, Any] = {}
        for suffix, scores in self.scores.items():
            measured = scores.result()
            if suffix:
                measured.pop('frames')
                if 'depth' in measured:  # it is aligned by the median, and says so
                    measured['depth_median_scaled'] = measured.pop('depth')
            found |= {name + suffix: value for name, value in measured.items()}
        return found | ({'skipped': self.skipped} if self.skipped else {})


def evaluate(predictor: Predictor, dataset: DenseDataset, limit: int | None = None,
             window: str = 'whole', submission: Path | None = None) -> Evaluation:
    """Measure a model on a dataset.

    :param limit: this many images, evenly spread; None = all. Images that cannot be read are
        counted as ``skipped``.
    :param window: see ``validation.predict``.
    :param submission: folder for depth as the KITTI server takes it, see :func:`write_kitti`.
    """
    evaluation = Evaluation()
    count = len(dataset) if limit is None else min(limit, len(dataset))
    shown = set(np.linspace(0, count - 1, min(_PICTURES, count), dtype=int).tolist())
    for number, item in enumerate(tqdm(_samples(dataset, count), total=count, unit='image',
                                       desc='evaluate')):
        if isinstance(item, SampleError):
            evaluation.skipped += 1
            continue
        for suffix in ('', WITHOUT) if predictor.card.takes_mount and item.mount else ('',):
            prediction = predict(predictor, item, not suffix, window)
            if suffix not in evaluation.scores:
                evaluation.scores[suffix] = Scores(dataset.info, predictor.card,
                                                   prediction.metric)
            row = evaluation.scores[suffix].add(prediction, item)
            if not suffix:
                evaluation.rows.append({'image': item.source, **row})
                if submission is not None:
                    write_kitti(submission, item, prediction)
                if number in shown:
                    evaluation.pictures.append(row_of_pictures(item, prediction, predictor.card))
    if not evaluation.scores:
        raise DatasetError(f'dataset "{dataset.info.name}": none of {count} images could be read')
    return evaluation


def _samples(dataset: DenseDataset, count: int) -> Iterator[Sample | SampleError]:
    for index in np.linspace(0, len(dataset) - 1, count, dtype=int):
        try:
            yield dataset[int(index)]
        except SampleError as error:
            yield error


def write_kitti(folder: Path, sample: Sample, prediction: Prediction) -> None:
    """Depth as the KITTI server takes it, under the image's name.

    16-bit PNG at the image's size, 256 to the metre, 0 = unknown.

    :raises DatasetError: the prediction is not in metres.
    """
    if prediction.depth is None or not prediction.metric:
        raise DatasetError('the KITTI server takes depth in metres, and this model gives '
                           + ('none' if prediction.depth is None else 'relative depth'))
    depth = at_size(prediction.depth, *sample.size)
    values = np.clip(np.nan_to_num(depth) * 256, 0, 65535).round().astype(np.uint16)
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / f'{Path(sample.source).stem}.png'), values)


def write_metrics(path: Path, metrics: dict[str, Any]) -> None:
    """Put measured metrics into a model file's card; the file is replaced whole."""
    proto = onnx.load(path, load_external_data=False)
    properties = {p.key: p.value for p in proto.metadata_props}
    card = replace(ModelCard.from_json(properties[METADATA_KEY]), metrics=metrics)
    helper.set_model_props(proto, {**properties, METADATA_KEY: card.to_json()})
    partial = path.with_name(f'{path.name}.partial')
    onnx.save(proto, partial)
    os.replace(partial, path)


def write_report(folder: Path, result: dict[str, Any], evaluation: Evaluation,
                 card: ModelCard) -> None:
    """``result.json``, ``result.md``, ``images.csv`` and ``sheet.png`` in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'result.json').write_text(json.dumps(result, indent=1) + '\n')
    (folder / 'result.md').write_text(markdown(card.name, result))
    names = sorted({name for row in evaluation.rows for name in row} - {'image'})
    with (folder / 'images.csv').open('w', newline='', encoding='utf-8') as file:
        table = csv.DictWriter(file, ['image', *names])
        table.writeheader()
        table.writerows(evaluation.rows)
    if evaluation.pictures:
        picture = cv2.cvtColor(sheet(evaluation.pictures), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / 'sheet.png'), picture)


@dataclass(frozen=True)
class Averaging:
    """What is averaged at test time, for models that run in PyTorch; see ``models.tta``.

    ``flip``: with the mirror image. ``scales``: over resized images. ``slide``: (height, width) of
    windows that overlap by a third. ``size``: (height, width) at which the network sees an image,
    in place of the card's.
    """

    flip: bool = False
    scales: tuple[float, ...] = ()
    slide: tuple[int, int] | None = None
    size: tuple[int, int] | None = None

    def __call__(self, model: nn.Module, card: ModelCard) -> TorchPredictor:
        """A predictor of the averaged model."""
        if self.slide:
            stride = tuple(max(1, side * 2 // 3) for side in self.slide)
            model = SlidingWindow(model, self.slide, stride)
        if self.scales:
            model = ScaleAverage(model, self.scales, card.size_multiple)
        if self.flip:
            model = FlipAverage(model)
        return TorchPredictor(model, sized(card, self.size))


def open_model(model: str, backend: str = 'auto',
               averaging: Averaging = Averaging()) -> Predictor:
    """A model file, the name of a shipped model, or a folder with weights (then in PyTorch).

    :raises ModelFileError: the model file cannot be used.
    :raises WeightsError: the folder's weights cannot be used.
    :raises ValueError: averaging is asked of a model file, whose graph is what it is.
    """
    if Path(model).is_dir():
        return averaging(*load_weights(Path(model)))
    if averaging != Averaging():
        raise ValueError('--flip, --scales, --slide and --size need a folder with weights: the '
                         'graph of a model file is what it is')
    return Predictor(model, backend)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``dense-perception-eval``."""
    args = _parser().parse_args(arguments)
    try:
        predictor = open_model(args.model, args.backend, Averaging(
            args.flip, tuple(args.scales), args.slide, args.size))
        options = dict(parse_option(o) for o in args.option)
        dataset = open_dataset(args.dataset, args.data, args.split, **options)
        evaluation = evaluate(predictor, dataset, args.limit, args.window, args.kitti_submission)
        result = {'data': args.describe or f'{args.dataset} {args.split or ""}'.strip(),
                  **evaluation.result()}
        if args.train:
            train = open_dataset(args.dataset, args.train, **options)
            result['per_pixel_baseline'] = per_pixel_baseline(train, dataset, args.limit)
        if args.priors:
            result['image_free_priors'] = image_free_priors(dataset, args.limit)
    except (ModelFileError, BackendError, WeightsError, ValueError) as error:
        raise SystemExit(f'dense-perception-eval: {error}') from None
    result = rounded(result)
    if args.out:
        write_report(args.out, result, evaluation, predictor.card)
    if args.write_card:
        if Path(args.model).is_dir():
            raise SystemExit('dense-perception-eval: --write-card needs a model file, not '
                             'a folder with weights')
        write_metrics(predictor.model.path, result)
    print(json.dumps(result, indent=1) if args.json else markdown(predictor.card.name, result))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='dense-perception-eval', description=__doc__)
    parser.add_argument('model', help='model file, name of a shipped model, or a training run')
    parser.add_argument('--data', type=Path, required=True, help='folder of the dataset')
    parser.add_argument('--dataset', default='world', choices=list_datasets(), metavar='NAME',
                        help=f'one of {", ".join(list_datasets())} (default: world)')
    parser.add_argument('--split', help="one of the dataset's splits")
    parser.add_argument('--option', action='append', default=[], metavar='KEY=VALUE',
                        help='an option of the dataset; may be repeated')
    parser.add_argument('--backend', default='auto', help='runtime of a model file')
    parser.add_argument('--flip', action='store_true', help='average with the mirror image')
    parser.add_argument('--scales', type=float, nargs='+', default=(), metavar='FACTOR',
                        help='average over resized images, for example 0.75 1 1.25')
    parser.add_argument('--slide', type=_height_width, metavar='HEIGHTxWIDTH',
                        help='average over windows that overlap by a third')
    parser.add_argument('--size', type=_height_width, metavar='HEIGHTxWIDTH',
                        help="what the network sees an image at (default: the card's size)")
    parser.add_argument('--limit', type=int, help='evaluate this many images, evenly spread')
    parser.add_argument('--window', default='whole', choices=['whole', 'kb'],
                        help='what the model sees: the whole image, or the window of the KITTI '
                             'benchmark (352x1216)')
    parser.add_argument('--kitti-submission', type=Path, metavar='FOLDER',
                        help='write depth as the KITTI server takes it')
    parser.add_argument('--train', type=Path,
                        help='the same dataset to train on, for the per-pixel baseline')
    parser.add_argument('--priors', action='store_true',
                        help='also measure a constant and a depth that falls from row to row, '
                             'both after median scaling')
    parser.add_argument('--describe', help='what the result calls the data')
    parser.add_argument('--out', type=Path,
                        help='folder for result.json, result.md, images.csv and sheet.png')
    parser.add_argument('--json', action='store_true', help='print JSON instead of Markdown')
    parser.add_argument('--write-card', action='store_true',
                        help="put the result into the model file's card")
    return parser


def _height_width(text: str) -> tuple[int, int]:
    height, _, width = text.lower().partition('x')
    if not (height.isdigit() and width.isdigit()):
        raise argparse.ArgumentTypeError(f'{text} is not HEIGHTxWIDTH, for example 512x512')
    return int(height), int(width)


if __name__ == '__main__':
    main()

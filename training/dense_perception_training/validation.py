"""Measuring a model while it trains: numbers and a sheet of pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np
from torch import nn

from dense_perception.export.reference import TorchPredictor
from dense_perception.inference.card import UNLABELLED, ModelCard
from dense_perception.inference.prediction import Prediction
from dense_perception.inference.predictor import Predictor
from dense_perception.metrics.crops import kb_window, put_back
from dense_perception.viz import blend, colour_depth, colour_normals, depth_limits, palette
from dense_perception_training.datasets import DenseDataset, Sample, SampleError
from dense_perception_training.feeding import open_source
from dense_perception_training.recipe import Recipe
from dense_perception_training.scores import Scores, at_size

_SHEET_ROWS, _TILE = 6, (320, 240)
_HEADLINES = (('depth', 'abs_rel', 'abs_rel'), ('depth', 'd1', 'd1'),
              ('segmentation', 'miou', 'miou'), ('normals', 'mean', 'normal_angle'),
              ('matting', 'mad', 'matte_mad'))


class Validation:
    """The validation sources of a recipe.

    :raises DatasetError: a source cannot be opened.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._datasets = [open_source(source) for source in recipe.validation]
        self._frames = recipe.validation_frames

    def measure(self, model: nn.Module, card: ModelCard) -> tuple[dict[str, float], np.ndarray]:
        """Scores by name, and pictures, uint8 (H, W, 3) RGB; the model's mode stays as it was."""
        training = model.training
        predictor = TorchPredictor(model, card)
        scores, rows = {}, []
        for number, dataset in enumerate(self._datasets):
            prefix = f'{dataset.info.name}_{number}/' if len(self._datasets) > 1 else ''
            measured: Scores | None = None
            for sample in thinned(dataset, self._frames):
                prediction = predict(predictor, sample)
                if measured is None:
                    measured = Scores(dataset.info, card, prediction.metric)
                measured.add(prediction, sample)
                if len(rows) < _SHEET_ROWS * (number + 1) // len(self._datasets):
                    rows.append(row_of_pictures(sample, prediction, card))
            if measured is not None:
                scores |= {prefix + k: v for k, v in headline(measured.result()).items()}
        model.train(training)
        return scores, sheet(rows) if rows else np.zeros((8, 8, 3), np.uint8)


def thinned(dataset: DenseDataset, limit: int | None) -> Iterator[Sample]:
    """Samples of a dataset, evenly thinned to ``limit``; what cannot be read is left out."""
    count = len(dataset) if limit is None else min(limit, len(dataset))
    for index in np.linspace(0, len(dataset) - 1, count, dtype=int):
        try:
            yield dataset[int(index)]
        except SampleError:
            continue


def predict(predictor: Predictor, sample: Sample, with_mount: bool = True,
            window: str = 'whole') -> Prediction:
    """A prediction with everything the sample knows of its camera, or without the mount.

    :param window: ``whole`` image, or ``kb``: the KITTI benchmark's window alone is shown to the
        model, as all published KITTI numbers have it; the rest of the prediction is unknown.
    :raises ValueError: the image is smaller than the window.
    """
    mount = sample.mount if with_mount else None
    if window == 'whole':
        return predictor.predict(sample.image, sample.intrinsics, mount)
    rows, columns = kb_window(*sample.size)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    k = sample.intrinsics
    prediction = predictor.predict(
        np.ascontiguousarray(sample.image[rows, columns]),
        k and k.cropped(columns.start, rows.start, width, height), mount)
    depth = at_size(prediction.depth, height, width)
    return replace(
        prediction, labels=None, confidence=None, normals=None, alpha=None,
        depth=None if depth is None else put_back(depth, (rows, columns), *sample.size))


def headline(result: dict) -> dict[str, float]:
    """The few numbers that a curve should show."""
    return {name: result[task][metric] for task, metric, name in _HEADLINES if task in result}


def row_of_pictures(sample: Sample, prediction: Prediction, card: ModelCard) -> np.ndarray:
    """Image, then prediction and truth of each task as far as there are; uint8 (240, W, 3) RGB.

    Depth and truth share one scale if the prediction is metric. Disparity is shown inverted.
    """
    tiles = [sample.image]
    predicted = at_size(prediction.depth, *sample.size)
    if predicted is not None and card.depth_convention == 'inverse_affine':
        predicted = 1 / np.maximum(predicted, 1e-6)
    depths = [d for d in (predicted, sample.depth) if d is not None and np.isfinite(d).any()]
    for depth in depths:
        limits = depth_limits(depths[-1:] if prediction.metric else [depth])
        tiles.append(colour_depth(depth, *limits))
    if prediction.labels is not None:
        colours = palette(card.classes)
        masks = [at_size(prediction.labels, *sample.size), sample.labels]
        tiles += [blend(sample.image, colours[m]) for m in masks
                  if m is not None and (m[m != UNLABELLED] < len(card.classes)).all()]
    if prediction.normals is not None:
        tiles += [colour_normals(n) for n in (prediction.normals, sample.normals) if n is not None]
    if prediction.alpha is not None:
        tiles += [np.repeat((255 * np.nan_to_num(a)).astype(np.uint8)[..., None], 3, axis=-1)
                  for a in (prediction.alpha, sample.alpha) if a is not None]
    return np.concatenate([cv2.resize(t, _TILE, interpolation=cv2.INTER_AREA) for t in tiles], 1)


def sheet(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Rows of pictures below each other, padded to the widest."""
    width = max(row.shape[1] for row in rows)
    return np.concatenate([np.pad(row, ((0, 4), (0, width - row.shape[1]), (0, 0)))
                           for row in rows])

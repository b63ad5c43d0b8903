"""Accuracy of depth and masks: one definition for training, export, benchmark and demo."""

from __future__ import annotations

import numpy as np

from dense_perception.inference.card import UNLABELLED

DEPTH_METRICS = ('abs_rel', 'rmse', 'si_log', 'd1', 'd2', 'd3', 'coverage')


def depth_metrics(predicted: np.ndarray, truth: np.ndarray, near: float = 1e-3,
                  far: float = np.inf, median_scaled: bool = False) -> dict[str, float] | None:
    """Depth metrics of one image.

    Over pixels where the truth is finite and near < truth < far and the prediction is finite and
    positive: ``abs_rel`` = mean |p - g| / g; ``rmse`` in metres; ``si_log`` = 100 * standard
    deviation of ln p - ln g; ``d1``, ``d2``, ``d3`` = share with max(p/g, g/p) < 1.25, 1.25^2,
    1.25^3. ``coverage`` = share of the pixels with truth that have a prediction: a model that
    answers only where it is easy shows it here.

    :param predicted: float (H, W), metres; or any scale if ``median_scaled``.
    :param truth: float (H, W), metres; NaN, infinite or <= 0 = no truth.
    :param near: predictions below are raised to it, and ones above ``far`` lowered to that.
    :param median_scaled: first multiply the prediction by median(g) / median(p).
    :return: values by the names of :data:`DEPTH_METRICS`; None if no pixel can be compared.
    :raises ValueError: the shapes differ.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f'prediction {predicted.shape} and truth {truth.shape} differ in shape')
    with_truth = np.isfinite(truth) & (truth > near) & (truth < far)
    valid = with_truth & np.isfinite(predicted) & (predicted > 0)
    if not valid.any():
        return None
    p, g = predicted[valid].astype(np.float64), truth[valid].astype(np.float64)
    if median_scaled:
        p = p * (np.median(g) / np.median(p))
    p = np.clip(p, near, far)
    ratio, log_error = np.maximum(p / g, g / p), np.log(p / g)
    return {'abs_rel': float(np.mean(np.abs(p - g) / g)),
            'rmse': float(np.sqrt(np.mean((p - g) ** 2))),
            'si_log': float(100 * np.std(log_error)),
            **{f'd{i}': float(np.mean(ratio < 1.25 ** i)) for i in (1, 2, 3)},
            'coverage': float(valid.sum() / with_truth.sum())}


class DepthAccuracy:
    """Depth metrics per image, then their mean over the images that could be compared.

    :param near, far, median_scaled: see :func:`depth_metrics`.
    """

    def __init__(self, near: float = 1e-3, far: float = np.inf,
                 median_scaled: bool = False) -> None:
        self._near, self._far, self._median_scaled = near, far, median_scaled
        self._images: list[dict[str, float]] = []

    def add(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Take in one image; one without a comparable pixel is skipped."""
        metrics = depth_metrics(predicted, truth, self._near, self._far, self._median_scaled)
        if metrics is not None:
            self._images.append(metrics)

    def result(self) -> dict[str, float] | None:
        """Mean of each metric over images; None if there was none."""
        if not self._images:
            return None
        return {name: float(np.mean([image[name] for image in self._images]))
                for name in DEPTH_METRICS}


class SegmentationAccuracy:
    """Confusion matrix over all images taken in.

    :param classes: number of classes; ids are 0..classes-1. Truth outside of that, such as
        255 = unlabelled, is not counted; a prediction outside of it is wrong.
    """

    def __init__(self, classes: int) -> None:
        if not 0 < classes <= UNLABELLED:
            raise ValueError(f'number of classes {classes} must be 1..{UNLABELLED}')
        self._classes = classes
        self.confusion = np.zeros((classes, classes + 1), np.int64)
        """Pixels by (true class, predicted class); the last column holds unlabelled ones."""

    def add(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Take in one image: two integer (H, W) masks.

        :raises ValueError: the shapes differ.
        """
        if predicted.shape != truth.shape:
            raise ValueError(f'mask {predicted.shape} and truth {truth.shape} differ in shape')
        counted = (truth >= 0) & (truth < self._classes)
        columns = self._classes + 1
        guess = np.minimum(predicted[counted].astype(np.int64), self._classes)
        cells = truth[counted].astype(np.int64) * columns + guess
        counts = np.bincount(cells, minlength=self._classes * columns)
        self.confusion += counts.reshape(self._classes, columns)

    def iou(self) -> np.ndarray:
        """IoU of each class, float64 (classes,); NaN for a class in neither truth nor mask."""
        hits = np.diagonal(self.confusion).astype(np.float64)
        union = self.confusion.sum(1) + self.confusion.sum(0)[:-1] - hits
        return np.divide(hits, union, out=np.full(self._classes, np.nan), where=union > 0)

    def result(self) -> dict[str, float] | None:
        """``miou`` over the classes present and ``pixel_accuracy``; None if nothing counted."""
        total = self.confusion.sum()
        if not total:
            return None
        return {'miou': float(np.nanmean(self.iou())),
                'pixel_accuracy': float(np.diagonal(self.confusion).sum() / total)}

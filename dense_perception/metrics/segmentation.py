"""Accuracy of class masks."""

from __future__ import annotations

import numpy as np

from dense_perception.inference.card import UNLABELLED


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
        """Metrics over all pixels with a true class; None if nothing counted.

        ``miou``: mean IoU over the classes in truth or mask; ``mean_accuracy``: mean share of
        right pixels over the classes in the truth; ``pixel_accuracy``: share of right pixels.
        """
        total = self.confusion.sum()
        if not total:
            return None
        hits, pixels = np.diagonal(self.confusion), self.confusion.sum(1)
        present = pixels > 0
        return {'miou': float(np.nanmean(self.iou())),
                'mean_accuracy': float(np.mean(hits[present] / pixels[present])),
                'pixel_accuracy': float(hits.sum() / total)}

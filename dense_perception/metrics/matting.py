"""Accuracy of alpha mattes over the whole image, without a trimap (as on P3M-500-NP)."""

from __future__ import annotations

import cv2
import numpy as np

from dense_perception.metrics.images import mean_of

_STEPS = 10
_TOLERANCE = 0.15


def matting_metrics(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float] | None:
    """Matting metrics of one image.

    ``sad`` = sum |a - a*| / 1000; ``mse``, ``mad`` = mean of the squared and the absolute
    difference; ``conn`` = connectivity error / 1000 (Rhemann et al. 2009) in steps of 0.1: a
    pixel's degree of connectivity is 1 - d where d = alpha - l is at least 0.15, l being the
    largest threshold at which the pixel belongs to the largest 4-connected region of both mattes.

    :param predicted: float (H, W), 0..1. :param truth: float (H, W), 0..1, NaN = unknown.
    :return: None if no pixel is known in both.
    :raises ValueError: the shapes differ.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f'matte {predicted.shape} and truth {truth.shape} differ in shape')
    known = np.isfinite(predicted) & np.isfinite(truth)
    if not known.any():
        return None
    a, g = (np.where(known, m, 0).astype(np.float64) for m in (predicted, truth))
    error = (a - g)[known]
    return {'sad': float(np.abs(error).sum() / 1000), 'mse': float(np.mean(error ** 2)),
            'mad': float(np.mean(np.abs(error))), 'conn': _connectivity(a, g) / 1000}


def _connectivity(a: np.ndarray, g: np.ndarray) -> float:
    level = np.ones_like(a)  # l of each pixel
    inside = np.ones(a.shape, bool)  # pixels in the largest region of every threshold so far
    for step in range(1, _STEPS + 1):
        threshold = step / _STEPS
        region = _largest_region((a >= threshold) & (g >= threshold))
        level[inside & ~region] = (step - 1) / _STEPS
        inside &= region
    degrees = [1 - np.where(m - level >= _TOLERANCE, m - level, 0) for m in (a, g)]
    return float(np.abs(degrees[0] - degrees[1]).sum())


def _largest_region(mask: np.ndarray) -> np.ndarray:
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8),
                                                                connectivity=4)
    if len(statistics) == 1:
        return np.zeros(mask.shape, bool)
    return labels == 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA]))


class MattingAccuracy:
    """Matting metrics per image, then their mean over the images that could be compared."""

    def __init__(self) -> None:
        self._images: list[dict[str, float]] = []

    def add(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Take in one image."""
        metrics = matting_metrics(predicted, truth)
        if metrics is not None:
            self._images.append(metrics)

    def result(self) -> dict[str, float] | None:
        """Mean of each metric over images; None if there was none."""
        return mean_of(self._images)

"""Accuracy of surface normals: the angle between the predicted and the true one."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from dense_perception.metrics.images import mean_of

THRESHOLDS = (11.25, 22.5, 30.0)
_BIN = 0.01  # degrees


def angular_errors(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Angles in degrees, float64 (N,), of the pixels where both normals are known.

    :param predicted: float (H, W, 3), any length above 0; NaN or 0 = no prediction.
    :param truth: the same.
    :raises ValueError: the shapes differ.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f'normals {predicted.shape} and truth {truth.shape} differ in shape')
    n, g = (a.reshape(-1, 3).astype(np.float64) for a in (predicted, truth))
    lengths = np.linalg.norm(n, axis=1) * np.linalg.norm(g, axis=1)
    known = np.isfinite(lengths) & (lengths > 1e-8)
    cosine = np.einsum('ij,ij->i', n[known], g[known]) / lengths[known]
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


class NormalAccuracy:
    """Angular error over all pixels of all images (Bae et al., GeoNet), or per image.

    :param pooled: True: every pixel counts alike; the median is then exact to 0.01 degrees.
        False: the metrics of each image, then their mean over images.
    """

    def __init__(self, pooled: bool = True) -> None:
        self._pooled = pooled
        self._images: list[dict[str, float]] = []
        self._counts = np.zeros(round(180 / _BIN), np.int64)
        self._sum = self._sum_of_squares = 0.0
        self._below = np.zeros(len(THRESHOLDS), np.int64)

    def add(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Take in one image; one without a comparable pixel is skipped."""
        angles = angular_errors(predicted, truth)
        if not len(angles):
            return
        if not self._pooled:
            self._images.append(_summary(
                angles.mean(), np.median(angles), np.mean(angles ** 2),
                [np.mean(angles < limit) for limit in THRESHOLDS]))
            return
        bins = np.minimum((angles / _BIN).astype(np.int64), len(self._counts) - 1)
        self._counts += np.bincount(bins, minlength=len(self._counts))
        self._sum += angles.sum()
        self._sum_of_squares += np.square(angles).sum()
        self._below += [np.count_nonzero(angles < limit) for limit in THRESHOLDS]

    def result(self) -> dict[str, float] | None:
        """Angular errors over what was taken in; None if no pixel could be compared.

        ``mean``, ``median`` and ``rmse`` in degrees; ``below_11.25``, ``below_22.5`` and
        ``below_30`` as shares.
        """
        if not self._pooled:
            return mean_of(self._images)
        count = int(self._counts.sum())
        if not count:
            return None
        middle = int(np.searchsorted(np.cumsum(self._counts), count / 2))
        return _summary(self._sum / count, (middle + 0.5) * _BIN, self._sum_of_squares / count,
                        self._below / count)


def _summary(mean: float, median: float, mean_square: float,
             below: Iterable[float]) -> dict[str, float]:
    return {'mean': float(mean), 'median': float(median), 'rmse': float(np.sqrt(mean_square)),
            **{f'below_{limit:g}': float(share) for limit, share in zip(THRESHOLDS, below)}}

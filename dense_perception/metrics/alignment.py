"""Putting relative depth on the truth's scale before it is compared.

Each function takes float64 (N,) predictions and true depths in metres of the pixels of one image
that count, and gives depth in metres, float64 (N,).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def by_median(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Multiply by median(g) / median(p): for depth that is right up to one factor."""
    return predicted * (np.median(truth) / np.median(predicted))


def by_affine_depth(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """``s p + t`` nearest to the depth (least squares): for ``affine`` models (Marigold)."""
    scale, shift = fit_affine(predicted, truth)
    return scale * predicted + shift


def by_affine_disparity(predicted: np.ndarray, truth: np.ndarray, far: float) -> np.ndarray:
    """``1 / (s p + t)`` with ``s p + t`` nearest to 1/depth: for ``inverse_affine`` (MiDaS, DPT).

    The aligned disparity is at least 1 / ``far``.
    """
    scale, shift = fit_affine(predicted, 1 / truth)
    floor = 1 / far if np.isfinite(far) else np.finfo(np.float64).tiny
    return 1 / np.maximum(scale * predicted + shift, floor)


def fit_affine(predicted: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """(s, t) that minimise the sum of (s p + t - target)^2; (0, mean) for a constant p."""
    mean_p, mean_t = predicted.mean(), target.mean()
    centred = predicted - mean_p
    spread = np.dot(centred, centred)
    # Rounding leaves a constant with a spread of about (eps * |p|)^2 a pixel.
    if spread <= len(predicted) * (1e-12 * abs(mean_p)) ** 2:
        return 0.0, float(mean_t)
    scale = float(np.dot(centred, target - mean_t) / spread)
    return scale, float(mean_t - scale * mean_p)


ALIGNMENTS: dict[str, Callable[[np.ndarray, np.ndarray, float], np.ndarray]] = {
    'none': lambda p, g, far: p,
    'median': lambda p, g, far: by_median(p, g),
    'affine_depth': lambda p, g, far: by_affine_depth(p, g),
    'affine_disparity': by_affine_disparity,
}
"""Name -> function of prediction, truth and the protocol's far limit."""

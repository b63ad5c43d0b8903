"""Where depth steps: how far predicted edges are from true ones."""

from __future__ import annotations

import cv2
import numpy as np

from dense_perception.metrics.images import mean_of

_FAR = 10.0  # pixels: edges further apart do not belong together
_WEAK, _STRONG = 0.06, 0.18  # of the logarithm of depth: about 6 % and 20 % from pixel to pixel
_SCALE = 1000  # Canny takes gradients as 16-bit integers


def depth_edges(depth: np.ndarray) -> np.ndarray:
    """Thin edges of depth, by Canny's detector on its logarithm: bool (H, W).

    :param depth: float32 (H, W); not finite or <= 0 = unknown, and no edge is beside it.
    """
    known = np.isfinite(depth) & (depth > 0)
    logarithm = np.log(np.where(known, depth, 1)).astype(np.float32)
    gradients = [np.clip(_SCALE / 4 * cv2.Sobel(logarithm, cv2.CV_32F, *axis), -32767, 32767)
                 for axis in ((1, 0), (0, 1))]
    beside = cv2.dilate((~known).astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    dx, dy = (np.where(beside, 0, g).astype(np.int16) for g in gradients)
    return cv2.Canny(dx, dy, _SCALE * _WEAK, _SCALE * _STRONG, L2gradient=True) > 0


def boundary_errors(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float] | None:
    """Depth boundary errors of one image, in pixels (Koch et al. 2018, iBims-1).

    ``dbe_acc``: mean distance of predicted edges to the nearest true one; ``dbe_com``: of true
    edges to the nearest predicted one. Distances end at 10 pixels. Edges of both are found by
    :func:`depth_edges`; the paper marked the true ones by hand.

    :param predicted: float32 (H, W) along z, of any scale. :param truth: likewise.
    :return: None if the truth has no edge.
    :raises ValueError: the shapes differ.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f'depth {predicted.shape} and truth {truth.shape} differ in shape')
    ours, theirs = depth_edges(predicted), depth_edges(truth)
    if not theirs.any():
        return None
    return {'dbe_acc': _distance(ours, theirs), 'dbe_com': _distance(theirs, ours)}


def _distance(edges: np.ndarray, others: np.ndarray) -> float:
    if not edges.any() or not others.any():
        return _FAR
    away = cv2.distanceTransform((~others).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return float(np.minimum(away[edges], _FAR).mean())


class BoundaryAccuracy:
    """Depth boundary errors per image, then their mean over the images that have edges."""

    def __init__(self) -> None:
        self._images: list[dict[str, float]] = []

    def add(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Take in one image."""
        if (errors := boundary_errors(predicted, truth)) is not None:
            self._images.append(errors)

    def result(self) -> dict[str, float] | None:
        """Mean of each error over images; None if there was none."""
        return mean_of(self._images)

"""Flying pixels by the truth: depth that lies on none of the surfaces around it."""

from __future__ import annotations

import cv2
import numpy as np

TOLERANCE = 0.1
_NEAR, _AROUND = 2, 6  # pixels: windows of 5 x 5 and 13 x 13
_STEP = 0.05
_EDGE, _WINDOW, _LEAST = 3, 31, 20
_FAR = np.float32(1e6)


def flying(depth: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Pixels that hang in the air between two surfaces: bool (H, W).

    A pixel flies if its depth is more than 10 % of the truth away from *every* true depth within
    5 x 5 pixels, and strictly between the nearest and the farthest within 13 x 13. Where nothing
    is (the sky) truth counts as infinitely far.

    :param depth: float32 (H, W); not finite or <= 0 = unknown: never flies.
    :param truth: float32 (H, W), NaN = unknown.
    """
    surfaces = np.nan_to_num(truth, nan=_FAR).astype(np.float32)
    height, width = depth.shape
    padded = cv2.copyMakeBorder(surfaces, *[_NEAR] * 4, cv2.BORDER_REPLICATE)
    on_one = np.zeros(depth.shape, bool)
    with np.errstate(invalid='ignore'):
        for v in range(2 * _NEAR + 1):
            for u in range(2 * _NEAR + 1):
                true = padded[v:v + height, u:u + width]
                on_one |= np.abs(depth - true) <= TOLERANCE * true
        around = np.ones((2 * _AROUND + 1,) * 2, np.uint8)
        between = (depth > cv2.erode(surfaces, around)) & (depth < cv2.dilate(surfaces, around))
    return np.isfinite(depth) & (depth > 0) & between & ~on_one


def smeared(truth: np.ndarray, factor: int) -> np.ndarray:
    """Truth as a network of 1 / ``factor`` the resolution would give it: enlarged bilinearly.

    The sky, taken as 1 km away, smears too; what then is beyond 150 m is NaN.
    """
    filled = np.where(np.isfinite(truth), truth, np.float32(1e3))
    small = np.ascontiguousarray(filled[factor // 2::factor, factor // 2::factor])
    large = cv2.resize(small, truth.shape[::-1], interpolation=cv2.INTER_LINEAR)
    large[large > 150] = np.nan
    return large


def as_predicted(prediction: np.ndarray, truth: np.ndarray,
                 labels: np.ndarray | None) -> np.ndarray:
    """The true surfaces, each moved to where the prediction sees it.

    A network's error of scale is not what flying pixels are about. So each surface (connected
    pixels of one class without a step of depth) is multiplied by the geometric mean of
    prediction / truth over its pixels within 31 x 31 that are at least 3 from its edge.

    :param labels: true class ids, which part what touches; None = by depth alone.
    """
    surfaces = _surfaces(truth, labels)
    known = np.isfinite(prediction) & (prediction > 0) & np.isfinite(truth)
    log_ratio = np.log(np.where(known, prediction, 1) / np.where(known, truth, 1))
    result = truth.astype(np.float32)
    inside = np.ones((2 * _EDGE + 1,) * 2, np.uint8)
    for surface in np.unique(surfaces[surfaces > 0]):
        here = surfaces == surface
        inner = cv2.erode(here.astype(np.uint8), inside).astype(bool) & known
        if np.count_nonzero(inner) < _LEAST:
            inner = here & known
        if np.count_nonzero(inner) < _LEAST:
            continue
        total, weight = (cv2.boxFilter(
            image.astype(np.float32), -1, (_WINDOW, _WINDOW), normalize=False,
            borderType=cv2.BORDER_CONSTANT) for image in (log_ratio * inner, inner))
        local = np.where(weight > _LEAST, total / np.maximum(weight, 1),
                         np.median(log_ratio[inner]))
        result[here] *= np.exp(local[here])
    return result


def _surfaces(truth: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    """Number of each pixel's surface, int32 (H, W); 0 = no depth.

    Pixels and the gaps between them are laid out as one picture of twice the size, whose
    connected parts are the surfaces.
    """
    known = np.isfinite(truth)
    picture = np.zeros((2 * truth.shape[0] - 1, 2 * truth.shape[1] - 1), np.uint8)
    picture[::2, ::2] = known
    for axis in (0, 1):
        joined = ~_steps(truth) if axis else ~_steps(truth.T).T
        first, second = (known[:, :-1], known[:, 1:]) if axis else (known[:-1], known[1:])
        joined &= first & second
        if labels is not None:
            joined &= np.diff(labels.astype(np.int16), axis=axis) == 0
        gaps = picture[::2, 1::2] if axis else picture[1::2, ::2]
        gaps[:] = joined
    return cv2.connectedComponents(picture, connectivity=4)[1][::2, ::2]


def _steps(truth: np.ndarray) -> np.ndarray:
    """Where a pixel and its right neighbour continue neither each other's plane: (H, W - 1)."""
    inverse = 1 / np.nan_to_num(truth, nan=_FAR).astype(np.float64)
    padded = np.pad(inverse, ((0, 0), (2, 2)), mode='edge')
    before, left, right, after = (padded[:, i:i + truth.shape[1] - 1] for i in (1, 2, 3, 4))
    return (np.abs(right - (2 * left - before)) > _STEP * right) \
        & (np.abs(left - (2 * right - after)) > _STEP * left) \
        & (np.abs(left - right) > _STEP * np.maximum(left, right))

"""Metres for depth that has none: fits scale (and shift) of a prediction to known depths.

What a relative prediction ``x`` leaves open is its *ambiguity*:

``scale``           z = s x
``affine``          z = s x + t
``inverse_affine``  1/z = s x + t   (disparity, larger is nearer)

Known depths come from flat ground under a camera of known height (:func:`ground_samples`) or from
sparse metric points (:func:`point_samples`). :func:`align` finds ``s`` and ``t`` robustly: random
sample consensus (Fischler & Bolles 1981) over minimal samples, then reweighted least squares with
Tukey's biweight, both in relative error, so that near and far count alike. Everything is
deterministic and works on at most :data:`MAX_SAMPLES` samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.mount import Mount

AMBIGUITIES = ('scale', 'affine', 'inverse_affine')

TOLERANCE = 0.15
"""Relative error of depth up to which a sample agrees with an alignment."""
MIN_SAMPLES = 30
MAX_SAMPLES = 1024
FARTHEST = 80.0
"""Metres beyond which aligned depth counts as unknown: there a shift decides, not the image."""

_HYPOTHESES = 96
_REFINEMENTS = 5
_MIN_SPREAD = 1.3  # far over near of the agreeing samples, below which a shift is a guess
_MAX_BEYOND = 0.15
_MAX_POINTS = 10_000
_NEAREST = 0.05  # metres
_CELL = 4  # pixels
_EDGE = 0.1  # of the range of predicted values, within 3 x 3 pixels
_MIN_DESCENT = 0.1  # ground farther than 10 camera heights tells more of the pitch's error


class AlignmentError(ValueError):
    """There is no trustworthy alignment; the message says why, without numbers that change."""


@dataclass(frozen=True)
class Alignment:
    """How a prediction becomes metric.

    ``inliers``: share of the samples that agree within :data:`TOLERANCE`. ``residual``: median
    relative error of those. ``samples``: how many there were. ``centre``: median predicted value
    of those that agree; alignments are compared there.
    """

    ambiguity: str
    scale: float
    shift: float = 0.0
    inliers: float = 1.0
    residual: float = 0.0
    samples: int = 0
    centre: float = 1.0

    def depth(self, predicted: np.ndarray, farthest: float = FARTHEST) -> np.ndarray:
        """Metric depth of a prediction.

        :param predicted: float32, any shape; NaN = unknown.
        :return: float32 metres along z; NaN where unknown, not above 0, or beyond ``farthest``.
        """
        value = predicted * np.float32(self.scale)
        if self.shift:
            value += np.float32(self.shift)
        if self.ambiguity == 'inverse_affine':
            with np.errstate(divide='ignore'):
                np.reciprocal(value, out=value)
        with np.errstate(invalid='ignore'):
            value[~((value > 0) & (value <= np.float32(farthest)))] = np.nan
        return value

    def depth_ratio(self, other: Alignment) -> float:
        """Depth by this alignment over depth by ``other``, of a value where this one is known.

        NaN if ``other`` gives no depth there.
        """
        ours, theirs = (a.scale * self.centre + a.shift for a in (self, other))
        if not (ours > 0 and theirs > 0):
            return float('nan')
        return theirs / ours if self.ambiguity == 'inverse_affine' else ours / theirs


def ground_samples(predicted: np.ndarray, intrinsics: Intrinsics, mount: Mount,
                   ground: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Predicted values and the depths they would have on flat ground, on a coarse grid.

    :param predicted: float32 (H, W); NaN = unknown.
    :param intrinsics: of ``predicted``.
    :param ground: bool (H, W), True on ground; None = whatever is clearly below the horizon, of
        which the ground should be a good part.
    :return: float32 (N,) predicted and float32 (N,) metres along z.
    """
    step = max(1, int(np.sqrt(predicted.size / (6 * MAX_SAMPLES))))
    start = step // 2
    x, y = intrinsics.ray_slopes()
    dx, dy, dz = (np.float32(v) for v in mount.down)
    descent = (x[start::step] * dx)[None, :] + (y[start::step] * dy + dz)[:, None]
    values = predicted[start::step, start::step]
    usable = (descent > _MIN_DESCENT) & np.isfinite(values)
    if ground is not None:
        usable &= ground[start::step, start::step]
    return values[usable], np.float32(mount.height) / descent[usable]


def point_samples(predicted: np.ndarray, intrinsics: Intrinsics,
                  points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Predicted values where sparse metric points are seen, and the points' depths.

    Left out are points outside of the image, points that nearer ones hide, and those at edges of
    the prediction, where half a pixel decides which of two surfaces is meant.

    :param predicted: float32 (H, W); NaN = unknown.
    :param intrinsics: of ``predicted``.
    :param points: float (N, 3), metres, optical frame; may hold NaN.
    :return: float32 (M,) predicted and float32 (M,) metres along z.
    """
    points = points[::-(-len(points) // _MAX_POINTS) or 1].astype(np.float32)
    x, y, z = points[points[:, 2] > _NEAREST].T
    u, v = intrinsics.fx * x / z + intrinsics.cx, intrinsics.fy * y / z + intrinsics.cy
    height, width = predicted.shape
    # Inside by a pixel, so that every point has neighbours; NaN is not inside.
    inside = (u >= 0.5) & (u < width - 1.5) & (v >= 0.5) & (v < height - 1.5)
    column, row = (np.round(c[inside]).astype(np.intp) for c in (u, v))
    z = z[inside]
    seen = _in_front(column, row, z, predicted.shape)
    every = max(1, np.count_nonzero(seen) // (2 * MAX_SAMPLES))
    column, row, z = column[seen][::every], row[seen][::every], z[seen][::every]
    offsets = np.arange(-1, 2)
    around = predicted[row[:, None, None] + offsets[:, None], column[:, None, None] + offsets]
    around = around.reshape(len(z), 9)
    values = around[:, 4]
    smooth = np.isfinite(around).all(1)
    if smooth.any():
        low, high = np.percentile(values[smooth], (5, 95))
        change = np.ptp(around, axis=1)
        # Where everything changes a lot that is noise or slope, and an edge is what stands out.
        smooth &= change <= max(_EDGE * (high - low), 2 * np.median(change[smooth]))
    return values[smooth], z[smooth]


def _in_front(column: np.ndarray, row: np.ndarray, z: np.ndarray,
              shape: tuple[int, int]) -> np.ndarray:
    """Which points no clearly nearer point is next to: bool (N,)."""
    cells = np.full((shape[0] // _CELL + 1, shape[1] // _CELL + 1), np.inf, np.float32)
    far_first = np.argsort(-z)
    cells[row[far_first] // _CELL, column[far_first] // _CELL] = z[far_first]  # the last one stays
    nearest = cv2.erode(cells, np.ones((3, 3), np.uint8))
    return z <= (1 + TOLERANCE) * nearest[row // _CELL, column // _CELL]


def align(predicted: np.ndarray, depth: np.ndarray, ambiguity: str, min_inliers: float = 0.5,
          nothing_beyond: bool = False) -> Alignment:
    """Alignment that most samples agree with.

    :param predicted: float (N,), finite.
    :param depth: float (N,), metres along z, finite and above 0.
    :param ambiguity: one of :data:`AMBIGUITIES`.
    :param min_inliers: share of the samples that must agree.
    :param nothing_beyond: no sample can really be farther than its ``depth`` (nothing is seen
        below the ground), so of two surfaces the farther one is meant.
    :raises AlignmentError: too few samples, too little agreement, no spread of depths to tell
        scale from shift, or a prediction that falls where it should rise.
    """
    predicted, depth = _thinned(predicted, depth)
    if len(predicted) < MIN_SAMPLES:
        raise AlignmentError('too few samples')
    inverse = ambiguity == 'inverse_affine'
    target = 1 / depth if inverse else depth
    # Relative error is s * a + t * b - 1.
    a, b = predicted / target, 1 / target
    scales, shifts = _hypotheses(predicted, target, ambiguity != 'scale')
    if not len(scales):
        raise AlignmentError('the prediction does not follow the known depths')
    fitted = np.column_stack([scales, shifts]) @ np.stack([a, b])
    above = np.count_nonzero(fitted > 1 + TOLERANCE, axis=1)
    below = np.count_nonzero(fitted < 1 - TOLERANCE, axis=1)
    score = -above - below
    if nothing_beyond:
        score -= below if inverse else above
    best = int(np.argmax(score))
    scale, shift = _refined(a, b, float(scales[best]), float(shifts[best]), ambiguity != 'scale')
    error = scale * a + shift * b - 1
    agree = np.abs(error) < TOLERANCE
    _check(scale, agree, depth, ambiguity, min_inliers,
           np.mean((-error if inverse else error) > TOLERANCE) if nothing_beyond else 0.0)
    return Alignment(ambiguity, scale, shift, float(np.mean(agree)),
                     float(np.median(np.abs(error[agree]))), len(predicted),
                     float(np.median(predicted[agree])))


def _check(scale: float, agree: np.ndarray, depth: np.ndarray, ambiguity: str,
           min_inliers: float, beyond: float) -> None:
    if not scale > 0:
        raise AlignmentError('the prediction does not follow the known depths')
    if np.mean(agree) < min_inliers or np.count_nonzero(agree) < MIN_SAMPLES / 2:
        raise AlignmentError('too few samples agree with each other')
    if beyond > _MAX_BEYOND:
        raise AlignmentError('too much lies below what would be the ground')
    near, far = np.percentile(depth[agree], (5, 95))
    if ambiguity != 'scale' and far < _MIN_SPREAD * near:
        raise AlignmentError('the known depths are too alike to tell scale from shift')


def _thinned(predicted: np.ndarray, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most MAX_SAMPLES of the samples, as float64."""
    if len(predicted) > MAX_SAMPLES:
        # Random, not every n-th: a regular choice from a grid would take whole columns.
        chosen = np.random.default_rng(0).choice(len(predicted), MAX_SAMPLES, replace=False)
        predicted, depth = predicted[chosen], depth[chosen]
    return predicted.astype(np.float64), depth.astype(np.float64)


def _hypotheses(predicted: np.ndarray, target: np.ndarray,
                with_shift: bool) -> tuple[np.ndarray, np.ndarray]:
    """Scales and shifts through random minimal samples; only those with a positive scale."""
    rng = np.random.default_rng(0)
    with np.errstate(divide='ignore', invalid='ignore'):
        if with_shift:
            # One of the smaller and one of the larger targets, so that the line is well defined.
            order, half = np.argsort(target), len(target) // 2
            i = order[rng.integers(0, half, _HYPOTHESES)]
            j = order[rng.integers(half, len(target), _HYPOTHESES)]
            scales = (target[j] - target[i]) / (predicted[j] - predicted[i])
            shifts = target[i] - scales * predicted[i]
        else:
            i = rng.integers(0, len(target), _HYPOTHESES)
            scales = target[i] / predicted[i]
            shifts = np.zeros_like(scales)
    good = np.isfinite(scales) & np.isfinite(shifts) & (scales > 0)
    return scales[good], shifts[good]


def _refined(a: np.ndarray, b: np.ndarray, scale: float, shift: float,
             with_shift: bool) -> tuple[float, float]:
    """Least squares of s a + t b = 1 over what agrees, weighted by Tukey's biweight."""
    for _ in range(_REFINEMENTS):
        error = scale * a + shift * b - 1
        # The cut-off follows the noise: what nearly agrees would pull a clean fit aside.
        size = np.abs(error)
        noise = np.median(size[size < TOLERANCE]) if np.any(size < TOLERANCE) else TOLERANCE
        error /= min(max(6 * float(noise), 1e-3), 1.5 * TOLERANCE)
        weight = np.maximum(1 - error * error, 0) ** 2
        wa = weight * a
        if not with_shift:
            scale = float(wa.sum() / (wa @ a))
            continue
        wb = weight * b
        aa, ab, bb, ra, rb = wa @ a, wa @ b, wb @ b, wa.sum(), wb.sum()
        determinant = aa * bb - ab * ab
        if determinant <= 1e-12 * aa * bb:
            break  # collinear: _check sees the lack of spread
        scale = float((ra * bb - rb * ab) / determinant)
        shift = float((rb * aa - ra * ab) / determinant)
    return scale, shift

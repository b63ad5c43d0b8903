"""Ground and obstacles: the pixels a robot can drive on, and those it must not run into."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import cv2
import numpy as np

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.mount import Mount

GROUND, OBSTACLE = 1, 2
"""What :class:`GroundSplit` calls a pixel; 0 is neither."""
_EITHER = GROUND | OBSTACLE  # each is a bit of its own

_SAMPLES = 1000
_HYPOTHESES = 128
_TOLERANCE = 0.03  # of the camera's height
_STEEPEST = np.cos(np.radians(50.0))
_MOST_BELOW = 0.05
_LEAST_SUPPORT = 0.1
_LEAST_POINTS = 50


def fit_ground(depth: np.ndarray, intrinsics: Intrinsics, candidates: np.ndarray) -> Mount | None:
    """The ground plane among some pixels, as the mount of a camera above it.

    A random-sample consensus on about a thousand pixels, then least squares on those within 3 %
    of the camera's height. The plane is the one with most support of those that face the camera
    from below (within 50 degrees of the image's vertical) and have next to nothing beneath, so
    that no table top wins. The same input gives the same plane.

    :param depth: float32 (H, W), metres along z.
    :param intrinsics: of ``depth``.
    :param candidates: uint8 (H, W), not 0 where a pixel with known depth may be ground.
    :return: None if no plane holds a tenth of the candidates, or there are fewer than 50.
    """
    points = _sample(depth, intrinsics, candidates)
    if len(points) < _LEAST_POINTS:
        return None
    plane = _consensus(points)
    for _ in range(4):
        if plane is None:
            return None
        near = points[np.abs(points @ plane - 1) < _TOLERANCE]
        if len(near) < max(_LEAST_POINTS // 2, _LEAST_SUPPORT * len(points)):
            return None
        plane = _least_squares(near)
    assert plane is not None
    height = 1 / np.linalg.norm(plane)
    x, y, z = (float(v) for v in plane * height)
    return Mount((x, y, z), float(height))


@dataclass(frozen=True)
class HeightLimits:
    """Heights above the ground in metres: of an obstacle ``low`` < h <= ``high``.

    The ground is at most ``low`` above *or below* zero: a point deeper than that is a hole, or
    depth that is too far, and its ray must not clear what it passes over.
    """

    low: float = 0.1
    high: float = 2.0


class GroundSplit:
    """Tells ground from obstacles by class, by height, or by both; buffers are reused.

    Where both are known a pixel is ground if its class *and* its height say so, and an obstacle
    likewise; where they contradict each other it is neither, so that it neither clears nor marks
    a cell. With one alone that decides. docs/navigation.md has the figures.

    :param ground: ids of the classes that are ground; without any, classes tell nothing.
    :param obstacles: ids of the classes that are obstacles.
    :param ignored: ids of the classes that are neither, such as sky. An id that is in none of
        these is no known class: its pixels go by height.
    """

    def __init__(self, ground: Collection[int] = (), obstacles: Collection[int] = (),
                 ignored: Collection[int] = ()) -> None:
        self._table = np.full(256, _EITHER, np.uint8)
        self._table[list(obstacles)] = OBSTACLE
        self._table[list(ignored)] = 0
        self._table[list(ground)] = GROUND
        self._table_alone = np.where(self._table == _EITHER, 0, self._table).astype(np.uint8)
        self.knows_classes = bool(ground)
        self._key: tuple[Mount, Intrinsics] | None = None
        self._descent = self._drop = np.empty((0, 0), np.float32)

    def candidates(self, labels: np.ndarray, keep: np.ndarray) -> np.ndarray:
        """Pixels of a ground class among those to ``keep``: uint8, 0 or 255."""
        return np.where(cv2.LUT(labels, self._table) == GROUND, keep, np.uint8(0))

    def split(self, depth: np.ndarray, keep: np.ndarray, intrinsics: Intrinsics,
              labels: np.ndarray | None, plane: Mount | None,
              limits: HeightLimits) -> np.ndarray | None:
        """What each pixel is.

        :param depth: float32 (H, W), metres along z.
        :param keep: uint8 (H, W), 255 = the pixel has a depth to go by, 0 = it is neither.
        :param intrinsics: of ``depth``.
        :param labels: uint8 (H, W); None, or no ground class = by height alone.
        :param plane: the ground; None = by class alone.
        :return: uint8 (H, W) of :data:`GROUND`, :data:`OBSTACLE`, 0; None if neither classes nor
            plane are known.
        """
        if labels is None or not self.knows_classes:
            return None if plane is None else keep & self._by_height(depth, intrinsics, plane,
                                                                     limits)
        if plane is None:
            return keep & cv2.LUT(labels, self._table_alone)
        # What the two agree on: each kind is a bit of its own.
        agreed = keep & cv2.LUT(labels, self._table)
        agreed &= self._by_height(depth, intrinsics, plane, limits)
        return agreed

    def _by_height(self, depth: np.ndarray, intrinsics: Intrinsics, plane: Mount,
                   limits: HeightLimits) -> np.ndarray:
        if self._key != (plane, intrinsics):
            self._key = plane, intrinsics
            self._descent = plane.descent(intrinsics)
            self._drop = np.empty_like(self._descent)
        drop = cv2.multiply(depth, self._descent, dst=self._drop)  # the plane's height - a pixel's
        deepest, border, highest = (np.float32(plane.height + v)
                                    for v in (limits.low, -limits.low, -limits.high))
        ground = cv2.inRange(drop, float(border), float(deepest))
        below_border = np.nextafter(border, np.float32(-np.inf))
        obstacle = cv2.inRange(drop, float(highest), float(below_border))
        return (ground & np.uint8(GROUND)) | (obstacle & np.uint8(OBSTACLE))


def _sample(depth: np.ndarray, intrinsics: Intrinsics, candidates: np.ndarray) -> np.ndarray:
    """About a thousand candidate points on a grid, float64 (N, 3), the lowest rays first."""
    rows, columns = np.nonzero(candidates[::4, ::4])
    step = max(1, len(rows) // _SAMPLES)
    rows, columns = 4 * rows[::step], 4 * columns[::step]
    x, y = intrinsics.ray_slopes()
    rays = np.stack([x[columns], y[rows], np.ones(len(rows))], axis=1)
    return (depth[rows, columns, None] * rays.astype(np.float64))[::-1]


def _consensus(points: np.ndarray) -> np.ndarray | None:
    """The plane n with n . p = 1 that most of the points lie on; None if there is none."""
    rng = np.random.default_rng(0)
    # Rows come in the order of the image: the lower half of the view is where the ground is.
    triples = points[rng.integers(0, max(len(points) // 2, 3), (_HYPOTHESES, 3))]
    scale = np.linalg.norm(triples, axis=(1, 2)) ** 3
    triples = triples[np.abs(np.linalg.det(triples)) > 1e-6 * scale]
    if not len(triples):
        return None
    planes = np.linalg.solve(triples, np.ones((len(triples), 3, 1)))[..., 0]
    planes = planes[planes[:, 1] > _STEEPEST * np.linalg.norm(planes, axis=1)]
    if not len(planes):
        return None
    beyond = points @ planes.T - 1
    support = np.mean(np.abs(beyond) < _TOLERANCE, axis=0)
    beneath = np.mean(beyond > 2 * _TOLERANCE, axis=0)
    score = support - 4 * np.maximum(beneath - _MOST_BELOW, 0)
    best = int(np.argmax(score))
    return planes[best] if score[best] >= _LEAST_SUPPORT else None


def _least_squares(points: np.ndarray) -> np.ndarray | None:
    try:
        plane = np.linalg.solve(points.T @ points, points.sum(axis=0))
    except np.linalg.LinAlgError:
        return None
    return plane if np.isfinite(plane).all() and plane.any() else None

"""Rotations as matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

OPTICAL_FROM_BODY = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])
"""From x forward, y left, z up (REP-103 body frame) to x right, y down, z forward (optical)."""


def rotation_matrix(quaternion: Sequence[float]) -> np.ndarray:
    """Rotation matrix, float64 (3, 3), of a quaternion x, y, z, w of any non-zero length.

    :raises ValueError: the quaternion is zero or not finite.
    """
    norm = math.sqrt(sum(v * v for v in quaternion))
    if not math.isfinite(norm) or norm < 1e-6:
        raise ValueError('the quaternion is zero or not finite')
    x, y, z, w = (v / norm for v in quaternion)
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]])


def optical_from_body(pitch: float, roll: float) -> np.ndarray:
    """Rotation into the optical frame of a camera that looks ahead, from the body that carries it.

    :param pitch: of the camera in the body, radians, above 0 looking down.
    :param roll: likewise, above 0 turning clockwise as seen from behind.
    """
    cp, sp, cr, sr = math.cos(pitch), math.sin(pitch), math.cos(roll), math.sin(roll)
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    return OPTICAL_FROM_BODY @ (about_y @ about_x).T

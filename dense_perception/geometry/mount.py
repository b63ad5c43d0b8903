"""How a camera is mounted on a robot: which way is down, and how high it is above the ground.

This is what makes the depth of one camera metric: a ground pixel seen along the ray
``r = ((u - cx)/fx, (v - cy)/fy, 1)`` has depth ``z = height / (r . down)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dense_perception.geometry.camera import Intrinsics


class MountError(ValueError):
    """A mount that cannot be true; the message says which value and why."""


@dataclass(frozen=True)
class Mount:
    """Gravity direction in the optical frame (unit vector) and height above ground in metres.

    :raises MountError: ``down`` is not a finite non-zero vector or ``height`` is not positive.
    """

    down: tuple[float, float, float]
    height: float

    def __post_init__(self) -> None:
        norm = math.sqrt(sum(v * v for v in self.down))
        if not math.isfinite(norm) or norm < 1e-6:
            raise MountError(f'gravity direction {self.down} is not a finite, non-zero vector')
        if not math.isfinite(self.height) or self.height <= 0:
            raise MountError(f'camera height {self.height} m must be finite and above 0')
        object.__setattr__(self, 'down', tuple(v / norm for v in self.down))

    @classmethod
    def from_pitch_roll(cls, pitch: float, roll: float, height: float) -> Mount:
        """Mount from angles in radians.

        ``pitch`` > 0 looks down (REP-103: positive rotation about the body's y axis, left);
        ``roll`` > 0 turns the camera clockwise as seen from behind it.
        """
        down = (math.cos(pitch) * math.sin(roll), math.cos(pitch) * math.cos(roll),
                math.sin(pitch))
        return cls(down, height)

    def descent(self, intrinsics: Intrinsics) -> np.ndarray:
        """``g(u, v) = ray . down`` with the ray's z = 1: float32 (height, width).

        Above 0 below the horizon; on flat ground depth is ``height / g``.
        """
        x, y = intrinsics.ray_slopes()
        dx, dy, dz = (np.float32(v) for v in self.down)
        return (x * dx)[None, :] + (y * dy + dz)[:, None]

    def ground_depth(self, intrinsics: Intrinsics) -> np.ndarray:
        """Depth along z of flat ground at every pixel, NaN at and above the horizon."""
        g = self.descent(intrinsics)
        return np.where(g > 0, self.height / np.where(g > 0, g, 1), np.nan).astype(np.float32)

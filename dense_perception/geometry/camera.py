"""Pinhole intrinsics and how they follow an image through resize, crop and padding.

Pixel centres lie on whole numbers: the top-left pixel's centre is (0, 0), its outer corner
(-0.5, -0.5). Frames follow REP-103's optical convention: x right, y down, z forward.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


class IntrinsicsError(ValueError):
    """Intrinsics that describe no camera; the message says which value and why."""


@dataclass(frozen=True)
class Intrinsics:
    """Pinhole camera of a ``width`` x ``height`` image: focal lengths and centre in pixels.

    :raises IntrinsicsError: a value is not finite, a focal length or a size is not positive.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.fx, self.fy, self.cx, self.cy))):
            raise IntrinsicsError(f'intrinsics are not finite: fx={self.fx}, fy={self.fy}, '
                                  f'cx={self.cx}, cy={self.cy}')
        if self.fx <= 0 or self.fy <= 0:
            raise IntrinsicsError(f'focal lengths must be positive: fx={self.fx}, fy={self.fy} '
                                  '(is the camera calibrated?)')
        if self.width <= 0 or self.height <= 0:
            raise IntrinsicsError(f'image size {self.width}x{self.height} is not positive')

    def resized(self, width: int, height: int) -> Intrinsics:
        """Intrinsics of the same view resampled to ``width`` x ``height``.

        Half-pixel rule: a pixel's *corner* scales with the image, so
        cx' = (cx + 0.5) * width'/width - 0.5, and the same for y.
        """
        sx, sy = width / self.width, height / self.height
        return Intrinsics(self.fx * sx, self.fy * sy, (self.cx + 0.5) * sx - 0.5,
                          (self.cy + 0.5) * sy - 0.5, width, height)

    def cropped(self, left: int, top: int, width: int, height: int) -> Intrinsics:
        """Intrinsics of the window whose top-left pixel is (``left``, ``top``)."""
        return Intrinsics(self.fx, self.fy, self.cx - left, self.cy - top, width, height)

    def padded(self, left: int, top: int, right: int, bottom: int) -> Intrinsics:
        """Intrinsics after so many pixels were added at each side; ``cropped`` undoes it."""
        return self.cropped(-left, -top, left + self.width + right, top + self.height + bottom)

    @property
    def matrix(self) -> np.ndarray:
        """Camera matrix K, float64 (3, 3)."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.0]])

    def ray_slopes(self) -> tuple[np.ndarray, np.ndarray]:
        """x/z of every column (float32, (width,)) and y/z of every row (float32, (height,))."""
        x = (np.arange(self.width, dtype=np.float64) - self.cx) / self.fx
        y = (np.arange(self.height, dtype=np.float64) - self.cy) / self.fy
        return x.astype(np.float32), y.astype(np.float32)

"""Making images smaller."""

from __future__ import annotations

import math

import cv2
import numpy as np


def halvings(shrink: float) -> int:
    """How often to halve an image before sampling makes it smaller by the factor ``shrink``.

    Bilinear sampling skips pixels when it shrinks by more than 2, and what aliases a network
    reads as depth; halving averages every pixel first, and leaves a factor below 2.
    """
    return int(math.log2(max(shrink, 1)))


def halved(image: np.ndarray, times: int) -> np.ndarray:
    """Image (height, width[, channels]) of half the width and height, ``times`` over."""
    for _ in range(times):
        image = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2),
                           interpolation=cv2.INTER_AREA)
    return image

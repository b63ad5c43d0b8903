"""What is made of a result on the way out: millimetres, PNG, and colours for people."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import cv2
import numpy as np

from dense_perception import viz
from dense_perception.inference.card import ClassInfo

DEPTH_COLOURS_M = (0.3, 30.0)
"""Depth in metres of the first and last colour, the same in every frame."""

COMPRESSED_DEPTH = '16UC1; compressedDepth png'

_INVERSE_DEPTH = 0
_PNG_LEVEL = 1  # twice as fast as the default, and hardly larger


def millimetres(depth: np.ndarray) -> np.ndarray:
    """REP-118's integer depth: uint16 (H, W), 0 where unknown or out of range.

    :param depth: float32 (H, W), metres. What rounds to less than 1 or more than 65535
        millimetres is out of range.
    """
    scaled = np.rint(depth * np.float32(1e3))
    known = (scaled >= 1) & (scaled <= 65535)  # NaN compares false
    return np.where(known, scaled, 0).astype(np.uint16)


def compressed_depth(image: np.ndarray) -> np.ndarray:
    """Bytes of a CompressedImage of format :data:`COMPRESSED_DEPTH`: uint8 (N,).

    The layout of image_transport's compressedDepth: a header of one int32 and two float32, used
    by its 32FC1 form alone, then a 16-bit PNG.

    :param image: uint16 (H, W), millimetres.
    """
    _, png = cv2.imencode('.png', image, [cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL])
    header = struct.pack('<iff', _INVERSE_DEPTH, 0.0, 0.0)
    return np.concatenate([np.frombuffer(header, np.uint8), png.ravel()])


def coloured_depth(depth: np.ndarray, metric: bool) -> np.ndarray:
    """Depth as colours: uint8 (H, W, 3) RGB, near red, far blue, unknown grey.

    The colours of metric depth mean the same in every frame (:data:`DEPTH_COLOURS_M`, spread
    logarithmically); those of relative depth span the frame.
    """
    return viz.colour_depth(depth, *(DEPTH_COLOURS_M if metric else viz.depth_limits([depth])))


def opacity(alpha: np.ndarray) -> np.ndarray:
    """A matte (H, W) of 0..1 as uint8, round(255 * alpha)."""
    return (alpha * 255 + 0.5).astype(np.uint8)


class Overlay:
    """Paints masks over their images in the colours of the classes."""

    def __init__(self, classes: Sequence[ClassInfo]) -> None:
        self._palette = viz.palette(classes)

    def paint(self, image: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The mask over the image: uint8 (H, W, 3) RGB."""
        return viz.blend(image, self._palette[labels])

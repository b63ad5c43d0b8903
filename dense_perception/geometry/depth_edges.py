"""Flying pixels: depth smeared between two surfaces, found in the image itself.

A network's depth, and any depth that was enlarged by interpolation, passes from one surface to
the next over a few pixels. The points in between float in the air, where a costmap takes them
for obstacles. They cannot be told by a jump of depth, because a floor seen at a grazing angle
jumps as much from row to row. But planes are linear in *inverse* depth, in every direction of the
image, and a smear is not: seen from a few pixels away it has a bend on either side.
"""

from __future__ import annotations

import cv2
import numpy as np

SCALES = (2, 4)
"""Pixels to either side at which a pixel is compared; smears up to about 8 pixels are found."""

TOLERANCE_DIVISOR = 10

_PER_METRE = 2000.0  # counts of inverse depth: 16 bits, 1/m
_LARGEST = 32767
_ROUNDING = 2  # counts that a bend may be off, because four roundings are in it
_NEAREST = np.float32(_PER_METRE / _LARGEST)
_FARTHEST = np.float32(3e38)


class FlyingPixels:
    """Finds flying pixels; its buffers are reused while the size stays the same.

    With c the inverse depth of a pixel and a2, a, b, b2 those at 2s and s pixels on one side and
    at s and 2s on the other, a pixel flies if for a scale s, along its row or its column,

    - it lies between its neighbours, away from both: c is between a and b, and both
      abs(c - a) and abs(b - c) exceed t/2 * c;
    - it continues neither side: both abs(c - (2a - a2)) and abs(c - (2b - b2)) exceed t * c.

    t = 1 / :data:`TOLERANCE_DIVISOR`. Unknown depth counts as infinitely far, which for the sky
    it is. Inverse depth has steps of 1/2000 per metre: the tolerance grows with depth, to 2 t at
    100 m, and nearer than 6 cm nothing is known.

    :param scales: the values of s, in pixels.
    """

    def __init__(self, scales: tuple[int, ...] = SCALES) -> None:
        self._scales = scales
        self._margin = 2 * max(scales)
        self._resize((0, 0))

    def find(self, depth: np.ndarray) -> np.ndarray:
        """Mask of the flying pixels.

        :param depth: float32 (H, W), metres along z; not finite or <= 0 = unknown.
        :return: uint8 (H, W), 255 = flying, 0 = not; overwritten by the next call. What it says
            of pixels with unknown depth means nothing.
        :raises ValueError: ``depth`` is not float32 (H, W).
        """
        if depth.ndim != 2 or depth.dtype != np.float32:
            raise ValueError(f'depth must be float32 (H, W), not {depth.dtype} {depth.shape}')
        if self._worst.shape != depth.shape:
            self._resize(depth.shape)
        centre = self._invert(depth)
        cv2.add(self._inverse, self._inverse, dst=self._twice)
        self._worst.fill(0)
        for scale in self._scales:
            for axis in (0, 1):
                self._depart(scale, axis)
        np.floor_divide(centre, np.uint16(TOLERANCE_DIVISOR), out=self._term)
        self._term += np.uint16(_ROUNDING)
        return cv2.compare(self._worst, self._term, cv2.CMP_GT, dst=self._mask)

    def _resize(self, shape: tuple[int, int]) -> None:
        padded = (shape[0] + 2 * self._margin, shape[1] + 2 * self._margin)
        self._inverse, self._twice, self._bend = (np.zeros(padded, np.uint16) for _ in range(3))
        self._worst, self._term = (np.zeros(shape, np.uint16) for _ in range(2))
        self._known, self._mask = (np.zeros(shape, np.uint8) for _ in range(2))
        self._depth = np.zeros(shape, np.float32)

    def _invert(self, depth: np.ndarray) -> np.ndarray:
        """Fill the padded inverse depth; returns its part without the padding."""
        known, near_enough = self._known.view(bool), self._mask.view(bool)
        np.greater_equal(depth, _NEAREST, out=known)
        np.less_equal(depth, _FARTHEST, out=near_enough)
        np.logical_and(known, near_enough, out=known)
        self._depth.fill(_FARTHEST)
        cv2.copyTo(depth, self._known, self._depth)
        centre = self._window(self._inverse)
        np.divide(np.float32(_PER_METRE), self._depth, out=centre, casting='unsafe',
                  dtype=np.float32)
        _continue_borders(self._inverse, self._margin)
        return centre

    def _window(self, padded: np.ndarray, shift: int = 0, axis: int = 0,
                wider: int = 0) -> np.ndarray:
        """The image's part of a padded array, moved along an axis and widened on both sides."""
        spans = [slice(self._margin, self._margin + n) for n in self._worst.shape]
        spans[axis] = slice(spans[axis].start + shift - wider, spans[axis].stop + shift + wider)
        return padded[tuple(spans)]

    def _depart(self, scale: int, axis: int) -> None:
        """Raise ``worst`` to the least of a pixel's departures, all in units of t * c.

        The bend abs(a - 2c + b) one scale to the side is the departure from that side's
        continuation, and (abs(b - a) - bend) / 2 is the lesser distance to a and b, or below 0
        if c is not between them; unsigned subtraction makes that 0.
        """
        bend, term = self._window(self._bend, 0, axis, scale), self._term
        before, after = (self._window(self._inverse, s, axis, scale) for s in (-scale, scale))
        cv2.add(before, after, dst=bend)
        cv2.absdiff(bend, self._window(self._twice, 0, axis, scale), dst=bend)
        before, after = (self._window(self._inverse, s, axis) for s in (-scale, scale))
        cv2.absdiff(before, after, dst=term)
        cv2.subtract(term, self._window(self._bend), dst=term)
        for side in (-scale, scale):
            cv2.min(term, self._window(self._bend, side, axis), dst=term)
        cv2.max(self._worst, term, dst=self._worst)


def _continue_borders(padded: np.ndarray, margin: int) -> None:
    """Fill the padding so that planes go on beyond the image's border.

    By point reflection about the border; where that meets unknown depth, along the line through
    the last two pixels, which is more at the mercy of noise.
    """
    for array in (padded[margin:-margin].T, padded):
        inner = array[margin:-margin]
        reach = min(margin, len(inner) - 1)
        steps = np.arange(1, reach + 1)[:, None]
        for border, edge, mirrored in (
                (array[:margin][::-1], inner[0], inner[1:reach + 1]),
                (array[-margin:], inner[-1], inner[-2:-reach - 2:-1])):
            border[reach:] = edge
            if not reach:
                continue
            twice = edge + edge  # at most 65534, and never less than what is taken from it
            np.subtract(np.maximum(twice, mirrored), mirrored, out=border[:reach])
            if not mirrored.all():
                unknown = mirrored == 0
                near, next_to = edge.astype(np.int32), mirrored[0].astype(np.int32)
                slope = np.where(next_to > 0, near - next_to, 0)
                line = np.clip(near + steps * slope, 0, _LARGEST)
                border[:reach][unknown] = line[unknown]

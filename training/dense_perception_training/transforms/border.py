"""Frames around an image that show nothing."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dense_perception_training.sample import Sample
from dense_perception_training.transforms.base import (
    TransformError,
    map_arrays,
    register_transform,
)


@register_transform('border')
@dataclass(frozen=True)
class Border:
    """A frame that shows nothing, on a share of the samples: black, white, grey or a smear.

    Images have one where their lens was undone (many recordings come so, NYU's with a white one),
    or where the sensor is wider than the picture. Its four sides have widths of their own, and
    its inner edge bends as a lens bends lines. A smear repeats the outermost pixels. What the
    frame covers becomes unknown.

    :param widest: of a side, as a share of the image's larger side.
    :raises TransformError: a width of 0 or less, or of more than 0.2.
    """

    widest: float = 0.06
    share: float = 0.35

    def __post_init__(self) -> None:
        if not 0 < self.widest <= 0.2:
            raise TransformError(f'border: widest is {self.widest}; write a share of the larger '
                                 'side of the image, above 0 and at most 0.2')

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """See :class:`Transform`."""
        if rng.random() >= self.share:
            return sample
        widths = rng.uniform(-self.widest / 2, self.widest, 4)
        bend = rng.uniform(-self.widest, self.widest)
        # Grey is rare: what fills a frame is mostly the 0 or the 255 of whoever made the image.
        colour = (0, 255, int(rng.integers(256)), None)[rng.choice(4, p=(0.35, 0.35, 0.1, 0.2))]
        return bordered(sample, widths, bend, colour)


def bordered(sample: Sample, widths: np.ndarray, bend: float, colour: int | None) -> Sample:
    """The sample with a frame around it, in which nothing is known.

    :param widths: of its sides left, right, top, bottom at their middles, as shares of the
        image's larger side; below 0 there is none.
    :param bend: how much wider the sides are at their ends.
    :param colour: grey level of the frame; None = the nearest pixel that is shown.
    """
    height, width = sample.size
    longer = max(height, width)

    def limits(count: int, across: int, first: float, last: float) -> tuple[np.ndarray, ...]:
        # First and last pixel that is shown, of each of ``count`` lines of ``across`` pixels.
        ends = bend * np.linspace(-1, 1, count) ** 2
        a, b = (longer * np.maximum(side + ends, 0) for side in (first, last))
        return np.round(a), np.round(across - 1 - b)

    left, right = limits(height, width, *widths[:2])
    top, bottom = limits(width, height, *widths[2:])
    columns, rows = np.arange(width)[None], np.arange(height)[:, None]
    nearest_column = np.clip(columns, left[:, None], right[:, None])
    nearest_row = np.clip(rows, top[None], bottom[None])
    hidden = (nearest_column != columns) | (nearest_row != rows)

    def covered(array: np.ndarray, value: float) -> np.ndarray:
        array = array.copy()
        array[hidden] = value
        return array

    def picture(array: np.ndarray, unknown: float) -> np.ndarray:
        if array is not sample.image:
            return covered(array, unknown)
        if colour is not None:
            return covered(array, colour)
        return cv2.remap(array, nearest_column.astype(np.float32), nearest_row.astype(np.float32),
                         cv2.INTER_NEAREST)

    return map_arrays(sample, picture, covered)

"""Windows of an image. Intrinsics follow; depth, normals and gravity stay what they are."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dense_perception.inference.card import UNLABELLED
from dense_perception.metrics.crops import kb_window
from dense_perception_training.sample import Sample
from dense_perception_training.transforms.base import (
    TransformError,
    map_arrays,
    register_transform,
)

_TRIES = 10  # crops drawn before one with too much of one class is taken all the same


def crop(sample: Sample, top: int, left: int, height: int, width: int) -> Sample:
    """The window of a sample whose top-left pixel is (row ``top``, column ``left``).

    :raises TransformError: the window is not inside the image.
    """
    rows, columns = sample.size
    if min(top, left) < 0 or min(height, width) < 1 or top + height > rows \
            or left + width > columns:
        raise TransformError(f'{sample.source}: no window of {width}x{height} at column {left}, '
                             f'row {top} in an image of {columns}x{rows}')
    k = sample.intrinsics

    def cut(array: np.ndarray, _: float) -> np.ndarray:
        return array[top:top + height, left:left + width]

    return map_arrays(sample, cut, cut, intrinsics=k and k.cropped(left, top, width, height))


def pad(sample: Sample, height: int, width: int) -> Sample:
    """At least ``height`` x ``width``: black and unknown is added on the right and below."""
    rows, columns = sample.size
    below, right = max(height - rows, 0), max(width - columns, 0)
    if not below and not right:
        return sample
    k = sample.intrinsics

    def grow(array: np.ndarray, unknown: float) -> np.ndarray:
        return cv2.copyMakeBorder(array, 0, below, 0, right, cv2.BORDER_CONSTANT,
                                  value=[unknown] * 3)

    return map_arrays(sample, grow, grow,
                      intrinsics=k and k.cropped(0, 0, columns + right, rows + below))


@register_transform('random_crop')
@dataclass(frozen=True)
class RandomCrop:
    """A random window of ``height`` x ``width``; a smaller image is padded first.

    :param largest_class: draw again (up to ten times) while one class has more than this share of
        the labelled pixels; mmsegmentation trains with 0.75.
    """

    height: int
    width: int
    largest_class: float = 1.0

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """See :class:`Transform`."""
        sample = pad(sample, self.height, self.width)
        rows, columns = sample.size
        for _ in range(_TRIES):
            top = int(rng.integers(rows - self.height + 1))
            left = int(rng.integers(columns - self.width + 1))
            if self.largest_class >= 1 or sample.labels is None or _largest_share(
                    sample.labels[top:top + self.height, left:left + self.width]
                    ) < self.largest_class:
                break
        return crop(sample, top, left, self.height, self.width)


@register_transform('centre_crop')
@dataclass(frozen=True)
class CentreCrop:
    """The middle ``height`` x ``width`` of an image that is at least that large."""

    height: int
    width: int

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """See :class:`Transform`."""
        rows, columns = sample.size
        return crop(sample, (rows - self.height) // 2, (columns - self.width) // 2, self.height,
                    self.width)


@register_transform('zoom_crop')
@dataclass(frozen=True)
class ZoomCrop:
    """A random window that keeps at least ``smallest`` of the width and of the height."""

    smallest: float = 0.6

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """See :class:`Transform`."""
        rows, columns = sample.size
        keep = rng.uniform(self.smallest, 1.0, 2)
        height, width = max(int(keep[0] * rows), 1), max(int(keep[1] * columns), 1)
        return crop(sample, int(rng.integers(rows - height + 1)),
                    int(rng.integers(columns - width + 1)), height, width)


@register_transform('nyu_crop')
@dataclass(frozen=True)
class NyuCrop:
    """Rows 45 to 471 and columns 43 to 607 of NYU's 640x480: no blank frame (BTS)."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """See :class:`Transform`."""
        if sample.size != (480, 640):
            raise TransformError(f'{sample.source}: nyu_crop is for 640x480 images, not '
                                 f'{sample.size[1]}x{sample.size[0]}')
        return crop(sample, 45, 43, 427, 565)


@register_transform('kb_crop')
@dataclass(frozen=True)
class KbCrop:
    """The KITTI benchmark's window: the bottom 352 rows and the middle 1216 columns."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """See :class:`Transform`."""
        try:
            rows, columns = kb_window(*sample.size)
        except ValueError as error:
            raise TransformError(f'{sample.source}: {error}') from None
        return crop(sample, rows.start, columns.start, rows.stop - rows.start,
                    columns.stop - columns.start)


def _largest_share(labels: np.ndarray) -> float:
    counts = np.bincount(labels.ravel(), minlength=UNLABELLED + 1)[:UNLABELLED]
    return counts.max() / max(counts.sum(), 1)

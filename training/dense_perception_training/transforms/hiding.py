"""What hides a part of the image: frames around it, and spots on it."""

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
from dense_perception_training.transforms.ranges import log_uniform

_SMALLEST_SPOT = 0.005  # half axis, as a share of the image's larger side


@register_transform('border')
@dataclass(frozen=True)
class Border:
    """A frame that shows nothing, on a share of the samples: black, white, grey or a smear.

    Images have one where their lens was undone (many recordings come so, NYU's with a white one),
    or where a sensor is wider than the picture. Its four sides have widths of their own, narrow
    ones more often than wide ones, and its inner edge bends as a lens bends lines; a fifth are
    the two straight bars of another aspect ratio. A smear repeats the outermost pixels. What the
    frame covers becomes unknown.

    :param widest: of a side, as a share of the image's larger side.
    :raises TransformError: a width of 0 or less, or of more than 0.2.
    """

    widest: float = 0.1
    share: float = 0.35

    def __post_init__(self) -> None:
        if not 0 < self.widest <= 0.2:
            raise TransformError(f'border: widest is {self.widest}; write a share of the larger '
                                 'side of the image, above 0 and at most 0.2')

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """See :class:`Transform`."""
        if rng.random() >= self.share:
            return sample
        widest = self.widest * max(sample.size) * rng.random()
        if rng.random() < 0.2:
            widths, bend = np.roll((widest, widest, 0, 0), 2 * rng.integers(2)), 0.0
        else:
            widths = rng.uniform(-widest / 2, widest, 4)
            bend = rng.uniform(-widest, widest)
        # Grey is rare: what fills a frame is mostly the 0 or the 255 of whoever made the image.
        colour = (0, 255, int(rng.integers(256)), None)[rng.choice(4, p=(0.35, 0.35, 0.1, 0.2))]
        return bordered(sample, widths, bend, colour)


def bordered(sample: Sample, widths: np.ndarray, bend: float, colour: int | None) -> Sample:
    """The sample with a frame around it, in which nothing is known.

    :param widths: of its sides left, right, top, bottom at their middles, in pixels; below 0
        there is none.
    :param bend: how many pixels wider the sides are at their ends.
    :param colour: grey level of the frame; None = the nearest pixel that is shown.
    """
    height, width = sample.size

    def limits(count: int, across: int, first: float, last: float) -> tuple[np.ndarray, ...]:
        # First and last pixel that is shown, of each of ``count`` lines of ``across`` pixels.
        ends = bend * np.linspace(-1, 1, count) ** 2
        a, b = (np.maximum(side + ends, 0) for side in (first, last))
        return np.round(a), np.round(across - 1 - b)

    left, right = limits(height, width, *widths[:2])
    top, bottom = limits(width, height, *widths[2:])
    columns, rows = np.arange(width)[None], np.arange(height)[:, None]
    nearest_column = np.clip(columns, left[:, None], right[:, None])
    nearest_row = np.clip(rows, top[None], bottom[None])
    hidden = (nearest_column != columns) | (nearest_row != rows)

    if colour is None:
        image = cv2.remap(sample.image, nearest_column.astype(np.float32),
                          nearest_row.astype(np.float32), cv2.INTER_NEAREST)
    else:
        image = np.where(hidden[..., None], np.uint8(colour), sample.image)
    return _hidden(sample, hidden, image)


@register_transform('spots')
@dataclass(frozen=True)
class Spots:
    """Ellipses of one colour here and there, on a share of the samples: truth there is unknown.

    Drops and dirt on the lens, lamps and their reflections, parts of the robot: what a rendered
    image has not. Random erasing (Zhong et al., AAAI 2020) with spots instead of one rectangle.

    :param most: spots of one image.
    :param largest: half axis, as a share of the image's larger side; small ones as often as
        large ones (log-uniform).
    :raises TransformError: no spots, or a half axis outside of 0.005 to 0.5.
    """

    most: int = 6
    largest: float = 0.08
    share: float = 0.25

    def __post_init__(self) -> None:
        if self.most < 1:
            raise TransformError(f'spots: most is {self.most}; write 1 or more')
        if not _SMALLEST_SPOT <= self.largest <= 0.5:
            raise TransformError(f'spots: largest is {self.largest}; write a share of the larger '
                                 f'side of the image, from {_SMALLEST_SPOT} to 0.5')

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """See :class:`Transform`."""
        if rng.random() >= self.share:
            return sample
        height, width = sample.size
        hidden = np.zeros((height, width), np.uint8)
        image = sample.image.copy()
        for _ in range(int(rng.integers(1, self.most + 1))):
            centre = (int(rng.integers(width)), int(rng.integers(height)))
            axes = tuple(max(round(max(height, width) * log_uniform(
                (_SMALLEST_SPOT, self.largest), rng)), 1) for _ in range(2))
            turn = float(rng.uniform(0, 180))
            white = rng.random() < 0.4  # a lamp, or its reflection
            colour = (255, 255, 255) if white else tuple(rng.integers(256, size=3).tolist())
            cv2.ellipse(image, centre, axes, turn, 0, 360, colour, cv2.FILLED, cv2.LINE_AA)
            cv2.ellipse(hidden, centre, axes, turn, 0, 360, 1, cv2.FILLED)
        return _hidden(sample, hidden > 0, image)


def _hidden(sample: Sample, hidden: np.ndarray, image: np.ndarray) -> Sample:
    """The sample with another image, and nothing known where bool (H, W) ``hidden``."""
    def covered(array: np.ndarray, unknown: float) -> np.ndarray:
        array = array.copy()
        array[hidden] = unknown
        return array

    return map_arrays(sample, lambda array, unknown: image if array is sample.image
                      else covered(array, unknown), covered)

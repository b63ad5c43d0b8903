"""Other sizes. Intrinsics follow; metric depth stays what it is, because the world does.

Images and mattes are averaged, depth, labels and normals are sampled (at the nearest pixel centre,
which is off by up to half a source pixel): a mean across an edge is no surface.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dense_perception.inference.resize import resize_image, size_by_rule
from dense_perception_training.sample import Sample
from dense_perception_training.transforms.base import (
    TransformError,
    map_arrays,
    register_transform,
)

RULES = ('stretch', 'minimal', 'lower_bound', 'upper_bound')


def resize(sample: Sample, height: int, width: int, interpolation: str = 'linear') -> Sample:
    """A sample at another size.

    :param interpolation: of image and alpha, see :func:`resize_image`.
    """
    if sample.size == (height, width):
        return sample
    k = sample.intrinsics

    def picture(array: np.ndarray, _: float) -> np.ndarray:
        resized = resize_image(array, height, width, interpolation)
        # Cubic interpolation leaves the range of a matte at its edges.
        return np.clip(resized, 0, 1) if array.dtype == np.float32 else resized

    def truth(array: np.ndarray, _: float) -> np.ndarray:
        return cv2.resize(array, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)

    return map_arrays(sample, picture, truth, intrinsics=k and k.resized(width, height))


@register_transform('resize')
@dataclass(frozen=True)
class Resize:
    """To a size, or near to it with the aspect ratio kept.

    :param rule: ``stretch`` = exactly ``height`` x ``width``; ``minimal``, ``lower_bound``,
        ``upper_bound``: as for model files, see :func:`network_size`.
    :param multiple: both sides are rounded to it, unless ``rule`` is ``stretch``.
    """

    height: int
    width: int
    rule: str = 'stretch'
    multiple: int = 1
    interpolation: str = 'linear'

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise TransformError(f'resize rule "{self.rule}" is none of {", ".join(RULES)}')

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """See :class:`Transform`."""
        height, width = self.height, self.width
        if self.rule != 'stretch':
            height, width = size_by_rule(sample.size, (height, width), self.rule, self.multiple)
        return resize(sample, height, width, self.interpolation)


@register_transform('random_scale')
@dataclass(frozen=True)
class RandomScale:
    """By a random factor, aspect ratio kept.

    :param base: (height, width) that factor 1 fits the image into; None = its own size.
    """

    smallest: float = 0.5
    largest: float = 2.0
    base: tuple[int, int] | None = None
    interpolation: str = 'linear'

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """See :class:`Transform`."""
        factor = rng.uniform(self.smallest, self.largest)
        if self.base is not None:
            factor *= min(wanted / side for wanted, side in zip(self.base, sample.size))
        height, width = (max(round(factor * side), 1) for side in sample.size)
        return resize(sample, height, width, self.interpolation)

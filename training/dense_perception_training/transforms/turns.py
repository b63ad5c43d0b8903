"""Mirrored and rolled cameras: intrinsics, normals and gravity follow."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from dense_perception.geometry.camera import Intrinsics
from dense_perception_training.sample import Sample
from dense_perception_training.transforms.base import map_arrays, register_transform

_MIRROR = np.diag([-1.0, 1.0, 1.0])


def flip(sample: Sample) -> Sample:
    """The world in a mirror: left and right change places."""
    k = sample.intrinsics
    if k is not None:
        k = Intrinsics(k.fx, k.fy, k.width - 1 - k.cx, k.cy, k.width, k.height)

    def mirrored(array: np.ndarray, _: float) -> np.ndarray:
        return array[:, ::-1]

    return _turned(map_arrays(sample, mirrored, mirrored, intrinsics=k), _MIRROR)


def roll(sample: Sample, angle: float) -> Sample:
    """The camera turned about its optical axis.

    The picture turns about the principal point (without intrinsics: about its middle), so that
    the intrinsics stay the same and each point keeps its depth. Pixels that were not in the
    picture become black and unknown. Square pixels are not assumed.

    :param angle: radians; positive turns the picture clockwise.
    """
    height, width = sample.size
    k = sample.intrinsics or Intrinsics(1, 1, (width - 1) / 2, (height - 1) / 2, width, height)
    c, s = np.cos(angle), np.sin(angle)
    # u' - centre = K R K^-1 (u - centre)
    linear = np.array([[c, -s * k.fx / k.fy], [s * k.fy / k.fx, c]])
    centre = np.array([k.cx, k.cy])
    move = np.column_stack([linear, centre - linear @ centre])

    def warp(array: np.ndarray, unknown: float, flags: int) -> np.ndarray:
        return cv2.warpAffine(array, move, (width, height), flags=flags,
                              borderMode=cv2.BORDER_CONSTANT, borderValue=[unknown] * 3)

    turned = map_arrays(sample, lambda a, unknown: warp(a, unknown, cv2.INTER_LINEAR),
                        lambda a, unknown: warp(a, unknown, cv2.INTER_NEAREST))
    return _turned(turned, np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]))


@register_transform('flip')
@dataclass(frozen=True)
class Flip:
    """Mirror a share of the samples."""

    share: float = 0.5

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """See :class:`Transform`."""
        return flip(sample) if rng.random() < self.share else sample


@register_transform('rotate')
@dataclass(frozen=True)
class Rotate:
    """Roll a share of the samples by up to ``degrees`` to either side."""

    degrees: float = 2.5
    share: float = 0.5

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """See :class:`Transform`."""
        if rng.random() >= self.share:
            return sample
        return roll(sample, np.radians(rng.uniform(-self.degrees, self.degrees)))


def _turned(sample: Sample, rotation: np.ndarray) -> Sample:
    """Vectors of the optical frame after the frame has changed by ``rotation`` (3, 3)."""
    changes = {}
    if sample.normals is not None:
        changes['normals'] = sample.normals @ rotation.T.astype(np.float32)
    if sample.gravity is not None:
        changes['gravity'] = rotation @ sample.gravity
    return replace(sample, **changes)

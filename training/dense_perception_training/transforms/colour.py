"""Other light and other cameras: only the image changes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from dense_perception.world.camera_model import Camera
from dense_perception_training.sample import Sample
from dense_perception_training.transforms.base import TransformError, register_transform
from dense_perception_training.transforms.ranges import Range, log_uniform, require_ranges

_LEVELS = np.arange(256.0)
_LIGHT_POINTS = (3, 4)  # rows and columns


@register_transform('colour')
@dataclass(frozen=True)
class Colour:
    """Gamma, brightness and a gain of each channel, of a share of the samples (BTS, BinsFormer).

    The exponent is applied to 0..1, as in BTS. NYU's recipe: brightness 0.75 to 1.25; KITTI's:
    0.9 to 1.1.
    """

    gamma: Range = (0.9, 1.1)
    brightness: Range = (0.75, 1.25)
    channels: Range = (0.9, 1.1)
    share: float = 0.5

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """See :class:`Transform`."""
        if rng.random() >= self.share:
            return sample
        gamma = rng.uniform(*self.gamma)
        gains = rng.uniform(*self.brightness) * rng.uniform(*self.channels, 3)
        return replace(sample, image=_looked_up(
            sample.image, 255 * ((_LEVELS / 255) ** gamma)[:, None] * gains))


@register_transform('photometric')
@dataclass(frozen=True)
class Photometric:
    """Photometric distortion of SSD and mmsegmentation: each step on half of the samples.

    Brightness offset, contrast (before or after the others), saturation and hue.

    :param brightness: largest offset in grey levels. :param hue: largest turn, in units of 2
        degrees (OpenCV's 0..179).
    """

    brightness: float = 32.0
    contrast: Range = (0.5, 1.5)
    saturation: Range = (0.5, 1.5)
    hue: float = 18.0

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """See :class:`Transform`."""
        offset = rng.uniform(-self.brightness, self.brightness) if rng.random() < 0.5 else 0.0
        contrast_first = rng.random() < 0.5
        gain = rng.uniform(*self.contrast) if rng.random() < 0.5 else 1.0
        image = _linear(sample.image, 1.0, offset)
        if contrast_first:
            image = _linear(image, gain, 0.0)
        saturation = rng.uniform(*self.saturation) if rng.random() < 0.5 else 1.0
        hue = rng.uniform(-self.hue, self.hue) if rng.random() < 0.5 else 0.0
        if saturation != 1 or hue:
            hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
            hsv[..., 1] = _linear(hsv[..., 1], saturation, 0.0)
            hsv[..., 0] = (hsv[..., 0].astype(np.int16) + round(hue)) % 180
            image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
        if not contrast_first:
            image = _linear(image, gain, 0.0)
        return replace(sample, image=image)


@register_transform('exposure')
@dataclass(frozen=True)
class Exposure:
    """Gain (of all channels and of each), offset, and at times no colour at all.

    :param strength: standard deviation of the logarithm of the gain.
    :param grey: share of the samples that lose their colour.
    """

    strength: float = 0.12
    grey: float = 0.08

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """See :class:`Transform`."""
        gain = np.exp(self.strength * (rng.standard_normal() + 0.3 * rng.standard_normal(3)))
        offset = 255 * 0.5 * self.strength * rng.standard_normal()
        image = _looked_up(sample.image, _LEVELS[:, None] * gain + offset)
        if rng.random() < self.grey:
            image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        return replace(sample, image=image)


@register_transform('uneven_light')
@dataclass(frozen=True)
class UnevenLight:
    """Light that changes slowly over the image, of a share of the samples.

    A window on one side, the cone of a torch, a lens that darkens its corners. The logarithm of
    the gain is normal at a few points and smooth between them.

    :param strength: its standard deviation at the points.
    """

    strength: float = 0.3
    share: float = 0.25

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """See :class:`Transform`."""
        if rng.random() >= self.share:
            return sample
        points = self.strength * rng.standard_normal(_LIGHT_POINTS, np.float32)
        gain = np.exp(cv2.resize(points, sample.size[::-1], interpolation=cv2.INTER_CUBIC))
        return replace(sample, image=_levels(sample.image * gain[..., None]))


@register_transform('robot_camera')
@dataclass(frozen=True)
class RobotCamera:
    """What a cheap camera does, to a share of the samples.

    Exposure, white balance, blur of focus or motion, vignetting, noise and JPEG, as in the
    procedural world (``dense_perception.world.camera_model``).
    """

    share: float = 0.5

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """See :class:`Transform`."""
        if rng.random() >= self.share:
            return sample
        return replace(sample, image=Camera.random(rng).expose(sample.image, rng))


@register_transform('noise')
@dataclass(frozen=True)
class Noise:
    """Normal noise of each channel and pixel, on a share of the samples: a camera in a dim room.

    :param deviation: range of the standard deviation in grey levels; small ones as often as large
        ones (log-uniform).
    :raises TransformError: the range is empty or begins at 0.
    """

    deviation: Range = (2.0, 48.0)
    share: float = 0.25

    def __post_init__(self) -> None:
        require_ranges('noise', self, deviation=1e-3)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """See :class:`Transform`."""
        if rng.random() >= self.share:
            return sample
        return replace(sample, image=noisy(sample.image, log_uniform(self.deviation, rng), rng))


@register_transform('random_convolution')
@dataclass(frozen=True)
class RandomConvolution:
    """Other textures and colours on the same shapes, on a share of the samples.

    A filter of random weights mixes the channels of a neighbourhood; its result, at the mean and
    deviation of the image, is blended with the image by a share between 0 and 1. Edges stay where
    they are, what stands between them does not: a model that has seen only rendered materials
    learns to look at the former (Xu et al., "Robust and Generalizable Visual Representation
    Learning via Random Convolutions", ICLR 2021; the mean and deviation are our addition).

    :param sizes: of the filter, in pixels; each as often.
    :raises TransformError: no size, or one that is not odd: its middle would lie between pixels.
    """

    sizes: tuple[int, ...] = (1, 3, 5, 7)
    share: float = 0.25

    def __post_init__(self) -> None:
        if np.ndim(self.sizes) != 1 or not self.sizes or any(
                size < 1 or size % 2 != 1 for size in self.sizes):
            raise TransformError(f'random_convolution: sizes are {self.sizes}; write odd numbers '
                                 'of pixels, such as [1, 3, 5, 7]')

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """See :class:`Transform`."""
        if rng.random() >= self.share:
            return sample
        size = int(rng.choice(self.sizes))
        image = sample.image.astype(np.float32)
        weights = rng.standard_normal((3, 3, size, size), np.float32)
        other = np.stack([sum(cv2.filter2D(image[..., i], -1, weights[o, i]) for i in range(3))
                          for o in range(3)], axis=-1)
        mean, deviation = cv2.meanStdDev(other)
        gain = image.std() / max(float(np.sqrt(np.mean(deviation ** 2))), 1e-3)
        other = (other - mean.ravel().astype(np.float32)) * np.float32(gain) + image.mean()
        return replace(sample, image=_levels(image + np.float32(rng.random()) * (other - image)))


def noisy(image: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """uint8 image with normal noise of a standard deviation in grey levels in each value."""
    return _levels(image + deviation * rng.standard_normal(image.shape, np.float32))


def _levels(image: np.ndarray) -> np.ndarray:
    return np.clip(image, 0, 255).round().astype(np.uint8)


def _linear(image: np.ndarray, gain: float, offset: float) -> np.ndarray:
    return image if gain == 1 and offset == 0 else _looked_up(image, gain * _LEVELS + offset)


def _looked_up(image: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Image with every level replaced: ``levels`` is float (256,), or (256, channels)."""
    return cv2.LUT(image, _levels(levels).reshape(1, 256, -1))

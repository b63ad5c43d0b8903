"""Light that a rasteriser leaves out: only the image changes, but it follows from the depth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.normals import normals_from_depth
from dense_perception_training.sample import Sample
from dense_perception_training.transforms.base import register_transform
from dense_perception_training.transforms.ranges import Range, log_uniform, require_ranges

_DIRECTIONS = 8
_STEPS = (4, 8, 16, 32)  # pixels of the halved image from a pixel to what may hide it
_BIAS = 0.1  # sine of the angle above the surface below which nothing hides
_FAR = 100.0  # metres, for the sky
# Where lamps are: x, y (down), z in median depths of the image. Some are behind the camera.
_LAMP_PLACES = (-1.2, 1.2), (-1.0, 0.2), (-0.5, 1.5)
_BRIGHTEST = 6.0  # times the mean: right in front of a lamp


@register_transform('ambient_occlusion')
@dataclass(frozen=True)
class AmbientOcclusion:
    """Corners and what is near the ground get darker, in a share of the samples.

    A rasteriser's ambient light reaches everything alike; in a room it does not reach below a
    table or into a corner, which tells where things stand. Each pixel's surroundings within
    ``radius`` take light from it as far as they rise above its surface (the obscurance of McGuire
    et al., "The Alchemy Screen-Space Ambient Obscurance Algorithm", HPG 2011, at fixed distances
    in pixels). Samples without depth or intrinsics stay as they are; a sample does not say whether
    its depth is in metres, so this is for datasets where it is.

    :param radius: range of the reach in metres; small ones as often as large ones (log-uniform).
    :param strength: range of the exponent of what is left of the light.
    :raises TransformError: a range is empty or the radius begins at 0.
    """

    radius: Range = (0.3, 1.5)
    strength: Range = (0.5, 1.5)
    share: float = 0.5

    def __post_init__(self) -> None:
        require_ranges('ambient_occlusion', self, radius=1e-3, strength=0.0)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """See :class:`Transform`."""
        if rng.random() >= self.share or sample.depth is None or sample.intrinsics is None:
            return sample
        radius = log_uniform(self.radius, rng)
        light = openness(*_halved(sample.depth, sample.intrinsics), radius)
        light = cv2.resize(light, sample.depth.shape[::-1])
        light **= np.float32(rng.uniform(*self.strength))
        return replace(sample, image=(sample.image * light[..., None]).astype(np.uint8))


@register_transform('lamp')
@dataclass(frozen=True)
class Lamp:
    """One lamp in the scene, in a share of the samples.

    It lights what faces it and is near it, and the rest of the light dims so much that the mean
    light stays, but for the brightest spots: rooms by evening, a robot's own headlight, a window's
    side and the one across. The lamp casts no shadows. Samples without depth or intrinsics stay as
    they are, and so does the sky; not for datasets whose depth is disparity.

    :param ambient: range of the share of the light that is not the lamp's.
    :param reach: range of the distance at which its light has halved, as a multiple of the
        image's median depth; log-uniform.
    :param tint: range of the factor of its light in each channel.
    :raises TransformError: a range is empty, or one but ``ambient`` begins at 0.
    """

    ambient: Range = (0.1, 0.7)
    reach: Range = (0.3, 1.5)
    tint: Range = (0.8, 1.2)
    share: float = 0.5

    def __post_init__(self) -> None:
        require_ranges('lamp', self, ambient=0.0, reach=1e-3, tint=1e-3)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """See :class:`Transform`."""
        if rng.random() >= self.share or sample.depth is None or sample.intrinsics is None:
            return sample
        known = np.isfinite(sample.depth)
        if not known.any():
            return sample
        scale = float(np.median(sample.depth[known]))
        place = scale * rng.uniform(*np.transpose(_LAMP_PLACES))
        light = lamp_light(*_halved(sample.depth, sample.intrinsics), place,
                           scale * log_uniform(self.reach, rng))
        light = cv2.resize(light, known.shape[::-1])
        light = np.minimum(light / max(float(light[known].mean()), 1e-6), _BRIGHTEST)
        light = light[..., None] * rng.uniform(*self.tint, size=3).astype(np.float32)
        ambient = np.float32(rng.uniform(*self.ambient))
        # Pixel values are about the root of the light (sRGB's exponent).
        factor = (ambient + (1 - ambient) * light) ** np.float32(1 / 2.2)
        factor[~known] = 1
        return replace(sample, image=np.minimum(sample.image * factor, 255).astype(np.uint8))


def lamp_light(depth: np.ndarray, camera: Intrinsics, place: np.ndarray,
               reach: float) -> np.ndarray:
    """Light of a lamp at each pixel's surface: float32 (H, W), 1 right before the lamp.

    :param depth: float32 (H, W), metres, finite.
    :param place: (3,), of the lamp in the camera's optical frame, metres.
    :param reach: metres at which the light has halved.
    """
    way = np.float32(place)[:, None, None] - _points(depth, camera)
    squared = np.einsum('chw,chw->hw', way, way)
    # Over a wide window: depth of float16 has steps, and their light would draw its contours.
    normals = normals_from_depth(depth, camera)
    facing = np.einsum('chw,hwc->hw', way, normals) / np.sqrt(squared + 1e-6)
    # Edges have no normal: they take what is within two pixels, and what is narrow half the light.
    flat = np.isfinite(facing)
    facing = np.where(flat, np.maximum(facing, 0), 0).astype(np.float32)
    share = cv2.blur(np.float32(flat), (5, 5))
    around = np.where(share > 0.01, cv2.blur(facing, (5, 5)) / np.maximum(share, 0.01), 0.5)
    return np.where(flat, facing, around) / (1 + squared / np.float32(reach) ** 2)


def openness(depth: np.ndarray, camera: Intrinsics, radius: float) -> np.ndarray:
    """Share of the ambient light that reaches each pixel: float32 (H, W) in 0..1.

    :param depth: float32 (H, W), metres, finite.
    :param radius: metres within which something hides light.
    """
    height, width = depth.shape
    points = _points(depth, camera)
    normals = _normals(points)
    hidden = np.zeros_like(depth)
    margin = max(_STEPS)
    padded = np.pad(points, ((0, 0), (margin, margin), (margin, margin)), 'edge')
    for ring, step in enumerate(_STEPS):
        for direction in range(_DIRECTIONS):
            angle = 2 * np.pi * (direction + 0.5 * (1 - ring % 2)) / _DIRECTIONS
            dx, dy = round(step * np.cos(angle)), round(step * np.sin(angle))
            other = padded[:, margin + dy:margin + dy + height, margin + dx:margin + dx + width]
            way = other - points
            squared = np.einsum('chw,chw->hw', way, way)
            rise = np.einsum('chw,chw->hw', way, normals) / np.sqrt(squared + 1e-6) - _BIAS
            hidden += np.maximum(rise, 0) * np.maximum(1 - squared / radius ** 2, 0)
    light = 1 - hidden * (2.0 / (_DIRECTIONS * len(_STEPS)))
    return cv2.GaussianBlur(np.maximum(light, 0.2), (0, 0), 2.0)


def _halved(depth: np.ndarray, camera: Intrinsics) -> tuple[np.ndarray, Intrinsics]:
    """Depth with the unknown far away, and its camera, at half the size: light is smooth."""
    height, width = depth.shape
    half = width // 2, height // 2
    depth = cv2.resize(np.nan_to_num(depth, nan=_FAR), half, interpolation=cv2.INTER_NEAREST)
    return depth, camera.resized(*half)


def _points(depth: np.ndarray, camera: Intrinsics) -> np.ndarray:
    """Float32 (3, H, W) in the camera's optical frame."""
    x, y = camera.ray_slopes()
    return np.stack([x * depth, y[:, None] * depth, depth]).astype(np.float32)


def _normals(points: np.ndarray) -> np.ndarray:
    """Unit normals (3, H, W) towards the camera, of points (3, H, W).

    At edges, too, where ``normals_from_depth`` has none: what is occluded lies there.
    """
    normal = np.cross(np.gradient(points, axis=1), np.gradient(points, axis=2), axis=0)
    return normal / np.maximum(np.linalg.norm(normal, axis=0), 1e-9)

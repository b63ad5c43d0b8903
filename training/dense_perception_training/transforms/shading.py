"""Light that a rasteriser leaves out: only the image changes, but it follows from the depth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from dense_perception.geometry.camera import Intrinsics
from dense_perception_training.sample import Sample
from dense_perception_training.transforms.base import TransformError, register_transform

Range = tuple[float, float]

_DIRECTIONS = 8
_STEPS = (4, 8, 16, 32)  # pixels of the halved image from a pixel to what may hide it
_BIAS = 0.1  # sine of the angle above the surface below which nothing hides
_FAR = 100.0  # metres, for the sky


@register_transform('ambient_occlusion')
@dataclass(frozen=True)
class AmbientOcclusion:
    """Corners and what is near the ground get darker, in a share of the samples with metric depth.

    A rasteriser's ambient light reaches everything alike; in a room it does not reach below a
    table or into a corner, which tells where things stand. Each pixel's surroundings within
    ``radius`` take light from it as far as they rise above its surface (the obscurance of McGuire
    et al., "The Alchemy Screen-Space Ambient Obscurance Algorithm", HPG 2011, at fixed distances
    in pixels). Samples without depth or intrinsics stay as they are.

    :param radius: range of the reach in metres; small ones as often as large ones (log-uniform).
    :param strength: range of the exponent of what is left of the light.
    :raises TransformError: a range is empty or the radius begins at 0.
    """

    radius: Range = (0.3, 1.5)
    strength: Range = (0.5, 1.5)
    share: float = 0.5

    def __post_init__(self) -> None:
        for name, least in (('radius', 1e-3), ('strength', 0.0)):
            values = getattr(self, name)
            if np.shape(values) != (2,) or not least <= values[0] <= values[1]:
                raise TransformError(f'ambient_occlusion: {name} is {values}; write the smallest '
                                     f'(from {least:g}) and the largest')

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """See :class:`Transform`."""
        if rng.random() >= self.share or sample.depth is None or sample.intrinsics is None:
            return sample
        radius = float(np.exp(rng.uniform(*np.log(self.radius))))
        height, width = sample.depth.shape
        half = width // 2, height // 2
        depth = cv2.resize(np.nan_to_num(sample.depth, nan=_FAR), half,
                           interpolation=cv2.INTER_NEAREST)
        light = openness(depth, sample.intrinsics.resized(*half), radius)
        light = cv2.resize(light, (width, height)) ** np.float32(rng.uniform(*self.strength))
        return replace(sample, image=(sample.image * light[..., None]).astype(np.uint8))


def openness(depth: np.ndarray, camera: Intrinsics, radius: float) -> np.ndarray:
    """Share of the ambient light that reaches each pixel: float32 (H, W) in 0..1.

    :param depth: float32 (H, W), metres, finite.
    :param radius: metres within which something hides light.
    """
    height, width = depth.shape
    x, y = camera.ray_slopes()
    points = np.stack([x * depth, y[:, None] * depth, depth]).astype(np.float32)
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


def _normals(points: np.ndarray) -> np.ndarray:
    """Unit normals (3, H, W) towards the camera, of points (3, H, W)."""
    normal = np.cross(np.gradient(points, axis=1), np.gradient(points, axis=2), axis=0)
    return normal / np.maximum(np.linalg.norm(normal, axis=0), 1e-9)

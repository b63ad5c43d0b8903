"""From a clean render to what a robot's camera would deliver."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Camera:
    """One camera's habits: they stay the same from frame to frame, noise does not.

    ``target``: mean brightness auto exposure aims at, 0..1. ``balance``: gains of R, G, B.
    ``veil``: stray light that lifts black. ``soft``: share of the resolution that the optics keep.
    ``blur``: kernel of defocus or motion, or None. ``vignette``: darkening of the corners.
    ``wobble``: pixels by which a rolling shutter and an imperfect calibration bend the image.
    ``noise``: standard deviation at mid brightness, of an image that needs no gain. ``jpeg``:
    quality, or None.
    """

    target: float
    balance: np.ndarray
    gamma: float
    veil: float
    soft: float
    blur: np.ndarray | None
    vignette: float
    wobble: np.ndarray | None
    noise: float
    jpeg: int | None

    @classmethod
    def random(cls, rng: np.random.Generator) -> Camera:
        """A cheap camera in its usual spread."""
        cast = 0.14 if rng.random() < 0.2 else 0.04
        return cls(target=float(np.clip(rng.normal(0.42, 0.12), 0.15, 0.72)),
                   balance=np.clip(rng.normal(1.0, cast, 3), 0.6, 1.4).astype(np.float32),
                   gamma=rng.uniform(0.7, 1.15),
                   veil=rng.uniform(0.02, 0.15) if rng.random() < 0.2 else 0.0,
                   soft=rng.uniform(0.45, 0.9) if rng.random() < 0.25 else 1.0,
                   blur=_blur(rng) if rng.random() < 0.3 else None,
                   vignette=rng.uniform(0.1, 0.6) if rng.random() < 0.4 else 0.0,
                   wobble=rng.uniform(-1, 1, 4) if rng.random() < 0.25 else None,
                   noise=rng.uniform(0.002, 0.025),
                   jpeg=int(rng.integers(40, 96)) if rng.random() < 0.5 else None)

    def expose(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Take a picture of a render: uint8 (H, W, 3) RGB in and out."""
        light = image.astype(np.float32) / 255
        gain = float(np.clip(self.target / max(float(light.mean()), 0.02), 0.4, 6.0))
        light = np.clip(light * (gain * self.balance) + self.veil, 0, 1) ** np.float32(self.gamma)
        light = self._through_lens(light)
        noise = rng.standard_normal(light.shape, dtype=np.float32)
        # Light that is amplified brings its noise along.
        light = light + self.noise * math.sqrt(max(gain, 1.0)) * noise * np.sqrt(0.25 + light)
        out = (np.clip(light, 0, 1) * 255).astype(np.uint8)
        if self.jpeg is not None:
            _, coded = cv2.imencode('.jpg', out, [cv2.IMWRITE_JPEG_QUALITY, self.jpeg])
            out = cv2.imdecode(coded, cv2.IMREAD_COLOR)
        return out

    def _through_lens(self, light: np.ndarray) -> np.ndarray:
        height, width = light.shape[:2]
        if self.soft < 1:
            small = (max(1, int(self.soft * width)), max(1, int(self.soft * height)))
            light = cv2.resize(cv2.resize(light, small, interpolation=cv2.INTER_AREA),
                               (width, height), interpolation=cv2.INTER_LINEAR)
        if self.blur is not None:
            light = cv2.filter2D(light, -1, self.blur)
        if self.wobble is not None:
            light = cv2.remap(light, *_bent(width, height, self.wobble), cv2.INTER_LINEAR,
                              borderMode=cv2.BORDER_REPLICATE)
        if self.vignette:
            light = light * _vignette(height, width, self.vignette)
        return light


def _blur(rng: np.random.Generator) -> np.ndarray:
    """Kernel of defocus or of a moving robot."""
    if rng.random() < 0.5:
        line = cv2.getGaussianKernel(7, float(rng.uniform(0.4, 1.3)))
        return (line @ line.T).astype(np.float32)
    length, angle = rng.uniform(2, 8), rng.normal(0, 0.5)
    kernel = np.zeros((9, 9), np.float32)
    end = (length / 2 * math.cos(angle), length / 2 * math.sin(angle))
    for t in np.linspace(-1, 1, 33):
        kernel[round(4 + t * end[1]), round(4 + t * end[0])] += 1
    return kernel / kernel.sum()


def _bent(width: int, height: int, wobble: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each pixel looks: rows shifted as the camera shakes, and a rest of distortion."""
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    u, v = 2 * x / width - 1, 2 * y / height - 1
    radial = np.float32(0.6 * wobble[0]) * (u * u + v * v)
    shift = np.float32(wobble[1]) * np.sin(np.float32(3 + 2 * wobble[2]) * v
                                           + np.float32(3 * wobble[3]))
    return x + radial * u + shift, y + radial * v


def _vignette(height: int, width: int, strength: float) -> np.ndarray:
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    return (1 - np.float32(strength) * (x * x + y * y) / 2)[..., None]

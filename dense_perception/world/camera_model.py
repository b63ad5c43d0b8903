"""From a clean render to what a robot's camera would deliver."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Camera:
    """One camera's habits: they stay the same from frame to frame, noise does not.

    ``target``: mean brightness auto exposure aims at, 0..1. ``balance``: gains of R, G, B.
    ``blur``: kernel of defocus or motion, or None. ``vignette``: darkening of the corners.
    ``noise``: standard deviation at mid brightness. ``jpeg``: quality, or None.
    """

    target: float
    balance: np.ndarray
    gamma: float
    blur: np.ndarray | None
    vignette: float
    noise: float
    jpeg: int | None

    @classmethod
    def random(cls, rng: np.random.Generator) -> Camera:
        """A cheap camera in its usual spread."""
        return cls(target=rng.uniform(0.25, 0.55),
                   balance=rng.normal(1.0, 0.05, 3).astype(np.float32),
                   gamma=rng.uniform(0.75, 1.15),
                   blur=_blur(rng) if rng.random() < 0.3 else None,
                   vignette=rng.uniform(0.1, 0.5) if rng.random() < 0.4 else 0.0,
                   noise=rng.uniform(0.002, 0.03),
                   jpeg=int(rng.integers(50, 96)) if rng.random() < 0.5 else None)

    def expose(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Take a picture of a render: uint8 (H, W, 3) RGB in and out."""
        light = image.astype(np.float32) / 255
        gain = np.clip(self.target / max(float(light.mean()), 0.02), 0.4, 6.0)
        light = np.clip(light * gain * self.balance, 0, 1) ** np.float32(self.gamma)
        if self.blur is not None:
            light = cv2.filter2D(light, -1, self.blur)
        if self.vignette:
            light *= _vignette(light.shape[0], light.shape[1], self.vignette)
        noise = rng.standard_normal(light.shape, dtype=np.float32)
        light = light + self.noise * noise * np.sqrt(0.25 + light)
        out = (np.clip(light, 0, 1) * 255).astype(np.uint8)
        if self.jpeg is not None:
            _, coded = cv2.imencode('.jpg', out, [cv2.IMWRITE_JPEG_QUALITY, self.jpeg])
            out = cv2.imdecode(coded, cv2.IMREAD_COLOR)
        return out


def _blur(rng: np.random.Generator) -> np.ndarray:
    """Kernel of defocus or of a moving robot."""
    if rng.random() < 0.5:
        line = cv2.getGaussianKernel(7, float(rng.uniform(0.4, 1.2)))
        return (line @ line.T).astype(np.float32)
    length = int(rng.integers(2, 6))
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1 / length
    return kernel if rng.random() < 0.8 else np.ascontiguousarray(kernel.T)


def _vignette(height: int, width: int, strength: float) -> np.ndarray:
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    return (1 - np.float32(strength) * (x * x + y * y) / 2)[..., None]

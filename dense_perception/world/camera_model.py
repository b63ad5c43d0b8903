"""From a clean render to what a robot's camera would deliver."""

from __future__ import annotations

import cv2
import numpy as np


def expose(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exposure, white balance, gamma, blur, vignetting, noise and JPEG of a cheap camera.

    :param image: uint8 (H, W, 3) RGB render.
    :returns: uint8 (H, W, 3) RGB.
    """
    light = image.astype(np.float32) / 255
    # Auto exposure: bring the mean to a target, as cameras do, with its usual error.
    gain = np.clip(rng.uniform(0.25, 0.55) / max(float(light.mean()), 0.02), 0.4, 6.0)
    balance = rng.normal(1.0, 0.05, 3).astype(np.float32)
    light = np.clip(light * gain * balance, 0, 1) ** np.float32(rng.uniform(0.75, 1.15))
    if rng.random() < 0.3:
        light = _blur(light, rng)
    if rng.random() < 0.4:
        light *= _vignette(light.shape[0], light.shape[1], rng.uniform(0.1, 0.5))
    sigma = rng.uniform(0.002, 0.03)
    noise = rng.standard_normal(light.shape, dtype=np.float32)
    light = light + sigma * noise * np.sqrt(0.25 + light)
    out = (np.clip(light, 0, 1) * 255).astype(np.uint8)
    if rng.random() < 0.5:
        _, coded = cv2.imencode('.jpg', out, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(50, 96))])
        out = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return out


def _blur(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Defocus or the blur of a moving robot."""
    if rng.random() < 0.5:
        return cv2.GaussianBlur(light, (0, 0), float(rng.uniform(0.4, 1.2)))
    length = int(rng.integers(2, 6))
    kernel = np.zeros((length, length), np.float32)
    (kernel if rng.random() < 0.8 else kernel.T)[length // 2] = 1 / length
    return cv2.filter2D(light, -1, kernel)


def _vignette(height: int, width: int, strength: float) -> np.ndarray:
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    return (1 - np.float32(strength) * (x * x + y * y) / 2)[..., None]

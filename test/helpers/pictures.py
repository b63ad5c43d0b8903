"""Picture files of datasets, written with OpenCV (what reads them is Pillow)."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def write_picture(path: Path, pixels: np.ndarray) -> Path:
    """Write uint8 or uint16 (H, W), or uint8 (H, W, 3) RGB, by the ending of the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    assert cv2.imwrite(str(path), pixels)
    return path


def plain(height: int, width: int, colour: tuple[int, int, int] = (200, 100, 50)) -> np.ndarray:
    """A picture of one colour, which JPEG keeps to within a level or two."""
    return np.full((height, width, 3), colour, np.uint8)


def ramp(height: int, width: int, first: int = 0) -> np.ndarray:
    """uint16 values that differ at every pixel."""
    return (first + np.arange(height * width)).reshape(height, width).astype(np.uint16)


def damage(path: Path, keep: float = 0.6) -> None:
    """Cut a file's end off, as a broken copy does."""
    data = path.read_bytes()
    path.write_bytes(data[:int(len(data) * keep)])


def write_pictures(folder: Path, count: int, height: int = 64, width: int = 80) -> Path:
    """Write a folder of smooth random pictures."""
    rng = np.random.default_rng(11)
    for index in range(count):
        coarse = rng.integers(0, 256, (8, 10, 3), np.uint8)
        write_picture(folder / f'{index:03d}.png', cv2.resize(coarse, (width, height)))
    return folder

"""Frames of flat ground, whose depth is known exactly."""

from __future__ import annotations

import numpy as np

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.mount import Mount
from dense_perception.world.classes import GROUND, SKY
from dense_perception.world.renderer import WorldFrame


def ground_frame(number: int, width: int = 96) -> WorldFrame:
    """One frame of flat ground and sky, 64 x ``width``, with a random mount."""
    rng = np.random.default_rng(number)
    camera = Intrinsics(70 + 5 * rng.random(), 75.0, width / 2 - rng.random(), 31.5, width, 64)
    mount = Mount.from_pitch_roll(rng.uniform(0.1, 0.4), rng.uniform(-0.1, 0.1),
                                  rng.uniform(0.3, 1.2))
    depth = mount.ground_depth(camera)
    labels = np.where(np.isfinite(depth), GROUND, SKY).astype(np.uint8)
    image = rng.integers(0, 256, (64, width, 3), dtype=np.uint8)
    return WorldFrame(image, depth, labels, camera, mount)

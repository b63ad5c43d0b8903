"""Random training views: any frame can be made again from (seed, split)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from dense_perception.geometry.camera import Intrinsics
from dense_perception.world.camera_model import Camera
from dense_perception.world.renderer import Renderer, View, WorldFrame
from dense_perception.world.scene import Scene, make_scene

_SPLIT_ID = {'train': 0, 'held_out': 1}
_TRIES = 60


def sample_frames(seed: int, split: str, views: int, renderer: Renderer, width: int,
                  height: int) -> Iterator[WorldFrame]:
    """Frames of one random scene seen by ``views`` random robot cameras.

    :param seed: number of the scene within its split; the same arguments give the same frames.
    """
    scene = make_scene([seed, _SPLIT_ID[split]], split)
    renderer.load(scene)
    rng = np.random.default_rng([seed, _SPLIT_ID[split], 1])
    for _ in range(views):
        for _ in range(4):  # a view that stares at a nearby surface teaches nothing
            frame = renderer.render(random_view(scene, rng), random_intrinsics(width, height, rng))
            near = np.nan_to_num(frame.depth, nan=99.0)
            if np.median(near) > 0.9 and np.mean(near < 0.3) < 0.15:
                break
        yield replace(frame, image=Camera.random(rng).expose(frame.image, rng))


def random_intrinsics(width: int, height: int, rng: np.random.Generator) -> Intrinsics:
    """A camera of 50-95 degrees across, 4:3 to 16:9, squeezed into width x height pixels."""
    half_fov = math.radians(rng.uniform(50, 95)) / 2
    fx = width / 2 / math.tan(half_fov)
    aspect = rng.choice([5 / 4, 4 / 3, 4 / 3, 1.5, 16 / 9])  # of the sensor
    fy = fx * aspect * height / width
    return Intrinsics(fx, fy, (width - 1) / 2 + rng.normal(0, 0.015) * width,
                      (height - 1) / 2 + rng.normal(0, 0.015) * height, width, height)


def random_view(scene: Scene, rng: np.random.Generator) -> View:
    """A camera on a robot that stands in free space.

    0.2-1.7 m high, looking from 10 degrees up to 35 down, rolled by a degree or two, mostly
    towards where there is something to see.
    """
    x0, y0, x1, y1 = scene.free
    for _ in range(_TRIES):
        x, y = rng.uniform(x0, x1), rng.uniform(y0, y1)
        if scene.clearance(x, y) > 0.35:
            break
    yaw = rng.uniform(-math.pi, math.pi)
    if scene.obstacles and rng.random() < 0.6:
        ox, oy, _ = scene.obstacles[int(rng.integers(len(scene.obstacles)))]
        yaw = math.atan2(oy - y, ox - x) + rng.normal(0, 0.3)
    pitch = math.radians(np.clip(rng.normal(9, 9), -10, 35))
    roll = math.radians(rng.normal(0, 1.5))
    return View(x, y, rng.uniform(0.2, 1.7), yaw, pitch, roll)

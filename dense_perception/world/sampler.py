"""Random training views: any frame can be made again from (seed, split)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from dense_perception.geometry.camera import Intrinsics
from dense_perception.world.camera_model import Camera
from dense_perception.world.catalogue import Catalogue
from dense_perception.world.photographs import Photographs
from dense_perception.world.renderer import Renderer, View, WorldFrame
from dense_perception.world.scene import Scene, make_scene

_SPLIT_ID = {'train': 0, 'held_out': 1}
_TRIES = 60
_HELD = {'tabletop': 0.7, 'dining': 0.7}  # share of the cameras that are held in a hand
_ABOVE = {'worktop': 0.8}  # and that are held near what they look at


def sample_frames(seed: int, split: str, views: int, renderer: Renderer, width: int,
                  height: int, kind: str | None = None,
                  catalogue: Catalogue | None = None, photographs: Photographs | None = None,
                  ) -> Iterator[WorldFrame]:
    """Frames of one random scene seen by ``views`` random cameras.

    :param seed: number of the scene within its split; the same arguments give the same frames.
    :param kind: see :func:`~dense_perception.world.scene.make_scene`, as ``catalogue``
        and ``photographs``.
    :raises ValueError: the kind or the split is unknown.
    """
    scene = make_scene([seed, _SPLIT_ID[split]], split, kind, catalogue, photographs)
    renderer.load(scene)
    rng = np.random.default_rng([seed, _SPLIT_ID[split], 1])
    for _ in range(views):
        for _ in range(4):  # a view that stares at a nearby surface teaches nothing
            frame = renderer.render(random_view(scene, rng), random_intrinsics(width, height, rng))
            if _worth_seeing(frame):
                break
        yield replace(frame, image=Camera.random(rng).expose(frame.image, rng))


def _worth_seeing(frame: WorldFrame) -> bool:
    """Neither against a surface, nor one surface that fills the view without anything on it."""
    near = np.nan_to_num(frame.depth, nan=99.0)
    return bool(np.median(near) > 0.55 and np.mean(near < 0.25) < 0.1
                and np.bincount(frame.labels.ravel()).max() < 0.97 * near.size)


def random_intrinsics(width: int, height: int, rng: np.random.Generator) -> Intrinsics:
    """A camera of 45-100 degrees across, 5:4 to 16:9, squeezed into width x height pixels."""
    half_fov = math.radians(rng.uniform(45, 100)) / 2
    fx = width / 2 / math.tan(half_fov)
    aspect = rng.choice([5 / 4, 4 / 3, 4 / 3, 1.5, 16 / 9])  # of the sensor
    fy = fx * aspect * height / width
    return Intrinsics(fx, fy, (width - 1) / 2 + rng.normal(0, 0.015) * width,
                      (height - 1) / 2 + rng.normal(0, 0.015) * height, width, height)


def random_view(scene: Scene, rng: np.random.Generator) -> View:
    """A camera in free space, mostly turned towards something to see.

    Two thirds (fewer at tables and in dining rooms) are robots' cameras: 0.15-2 m high, looking
    from 10 degrees up to 35 down, rolled by a degree or two. The others are held in a hand:
    0.9-1.75 m high, aimed at things and people, up to 40 degrees down, rolled by several degrees.
    Over worktops most are nearer and steeper.
    """
    above = _ABOVE.get(scene.kind)
    if above and scene.targets and rng.random() < above:
        return _view_from_above(scene, rng)
    held = rng.random() < _HELD.get(scene.kind, 0.33)
    target = _target(scene, rng)
    x, y = _place(scene, target, rng)
    z = rng.uniform(0.9, 1.75) if held else rng.uniform(0.15, 2.0)
    roll = math.radians(rng.normal(0, 4.0 if held else 1.5))
    yaw = rng.uniform(-math.pi, math.pi)
    pitch = math.radians(np.clip(rng.normal(8, 9), -10, 35))
    ground = scene.ground(x, y)
    if target is not None:
        tx, ty, tz = target
        yaw = math.atan2(ty - y, tx - x) + rng.normal(0, 0.25)
        if held:
            down = math.atan2(ground + z - tz, max(math.hypot(tx - x, ty - y), 0.3))
            pitch = float(np.clip(down + rng.normal(0, 0.15), -0.5, 0.75))
    return View(x, y, z, yaw, pitch, roll, ground)


def _view_from_above(scene: Scene, rng: np.random.Generator) -> View:
    """A camera within reach of a target and above it, in free space or over furniture."""
    tx, ty, tz = scene.targets[int(rng.integers(len(scene.targets)))]
    x0, y0, x1, y1 = scene.free
    x, y, away, angle = tx, ty, 0.0, 0.0
    for _ in range(_TRIES):
        away, angle = rng.uniform(0.15, 1.4), rng.uniform(-math.pi, math.pi)
        x, y = tx - away * math.cos(angle), ty - away * math.sin(angle)
        if min(x - x0, x1 - x, y - y0, y1 - y) > 0.2:
            break
    above, ground = rng.uniform(0.35, 1.1), scene.ground(x, y)
    pitch = math.atan2(above, away) + rng.normal(0, 0.1)
    return View(x, y, tz + above - ground, angle + rng.normal(0, 0.15), pitch,
                math.radians(rng.normal(0, 5.0)), ground)


def _target(scene: Scene, rng: np.random.Generator) -> tuple[float, float, float] | None:
    """A person, a thing, or nothing in particular."""
    draw = rng.random()
    if scene.people and draw < 0.35:
        return scene.people[int(rng.integers(len(scene.people)))]
    if scene.targets and draw < 0.8:
        return scene.targets[int(rng.integers(len(scene.targets)))]
    return None


def _place(scene: Scene, target: tuple[float, float, float] | None, rng: np.random.Generator,
           ) -> tuple[float, float]:
    """Free ground, some metres from the target if there is one."""
    x0, y0, x1, y1 = scene.free
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    for attempt in range(_TRIES):
        if target is not None and attempt < _TRIES // 2:
            away, angle = rng.uniform(0.7, 2.2) ** 2, rng.uniform(-math.pi, math.pi)
            x, y = target[0] + away * math.cos(angle), target[1] + away * math.sin(angle)
        else:
            x, y = rng.uniform(x0, x1), rng.uniform(y0, y1)
        if scene.clearance(x, y) > 0.25:
            break
    return x, y

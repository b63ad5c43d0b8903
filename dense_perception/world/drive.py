"""A robot drives through scenes of the procedural world: the demo's camera, and a live source."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dense_perception.geometry.camera import Intrinsics
from dense_perception.world.camera_model import Camera
from dense_perception.world.renderer import Renderer, View, WorldFrame
from dense_perception.world.scene import Scene, make_scene

_CLEARANCE = 0.45  # metres a robot keeps from everything
_SPEED, _TURN_RATE = 0.8, 0.7  # m/s, rad/s
_FOV = math.radians(70)  # horizontal


@dataclass(frozen=True)
class Leg:
    """A stretch of a drive: which scene, of which kind, for how long."""

    seed: int
    kind: str | None
    seconds: float


def drive(seed: int, width: int, height: int, rate: float, split: str = 'held_out',
          legs: Sequence[Leg] | None = None, sway: float = 1.0) -> Iterator[WorldFrame]:
    """Frames of a drive, ``rate`` a second of simulated time; without ``legs`` it never ends.

    The camera stands 0.35-1.2 m high, looks some degrees down, and sways a little as a robot
    does; every frame's ``mount`` is the true one.

    :param sway: multiplies that sway; 1 nods by half a degree.
    :raises RenderError: OpenGL cannot be started off-screen.
    """
    renderer = Renderer(width, height)
    intrinsics = _intrinsics(width, height)
    try:
        for leg in legs if legs is not None else _endless(seed):
            rng = np.random.default_rng([seed, leg.seed])
            scene = make_scene([leg.seed, 2], split, leg.kind)
            renderer.load(scene)
            camera = Camera.random(rng)
            for view in _views(scene, leg.seconds, rate, rng, sway):
                frame = renderer.render(view, intrinsics)
                yield replace(frame, image=camera.expose(frame.image, rng))
    finally:
        renderer.close()


def _endless(seed: int) -> Iterator[Leg]:
    leg = 1000 * seed
    while True:
        yield Leg(leg, None, 8.0)
        leg += 1


def _intrinsics(width: int, height: int) -> Intrinsics:
    f = width / 2 / math.tan(_FOV / 2)
    return Intrinsics(f, f, (width - 1) / 2, (height - 1) / 2, width, height)


def _views(scene: Scene, seconds: float, rate: float, rng: np.random.Generator,
           sway: float) -> Iterator[View]:
    """Camera poses along a path from one free place to the next."""
    x, y = _free_place(scene, rng)
    goal = _next_goal(scene, x, y, rng)
    yaw = math.atan2(goal[1] - y, goal[0] - x)
    height, pitch = rng.uniform(0.35, 1.2), math.radians(rng.uniform(4, 14))
    phase = rng.uniform(0, 2 * math.pi, 3)
    for step in range(int(seconds * rate)):
        t = step / rate
        if math.hypot(goal[0] - x, goal[1] - y) < 0.4:
            goal = _next_goal(scene, x, y, rng)
        turn = math.remainder(math.atan2(goal[1] - y, goal[0] - x) - yaw, 2 * math.pi)
        yaw += float(np.clip(turn, -_TURN_RATE / rate, _TURN_RATE / rate))
        ahead = _SPEED / rate * max(0.0, math.cos(turn))
        step_x, step_y = x + ahead * math.cos(yaw), y + ahead * math.sin(yaw)
        if scene.clearance(step_x, step_y) > _CLEARANCE / 2:
            x, y = step_x, step_y
        else:
            goal = _next_goal(scene, x, y, rng)
        yield View(x, y, height, yaw + 0.02 * math.sin(1.3 * t + phase[0]),
                   pitch + sway * 0.008 * math.sin(4.1 * t + phase[1]),
                   sway * 0.006 * math.sin(3.3 * t + phase[2]), scene.ground(x, y))


def _free_place(scene: Scene, rng: np.random.Generator) -> tuple[float, float]:
    """The roomiest of some random places."""
    x0, y0, x1, y1 = scene.free
    places = [(rng.uniform(x0, x1), rng.uniform(y0, y1)) for _ in range(30)]
    return max(places, key=lambda place: min(scene.clearance(*place), 1.5))


def _next_goal(scene: Scene, x: float, y: float, rng: np.random.Generator) -> tuple[float, float]:
    """The farthest of some random places that a straight line reaches without a collision."""
    best, best_length = (x, y), -1.0
    for _ in range(25):
        gx, gy = _free_place(scene, rng)
        length = math.hypot(gx - x, gy - y)
        line = np.linspace(0, 1, 12)[1:]
        clear = min(scene.clearance(x + s * (gx - x), y + s * (gy - y)) for s in line)
        if clear > _CLEARANCE and length > best_length:
            best, best_length = (gx, gy), length
    return best if best_length > 0 else _free_place(scene, rng)

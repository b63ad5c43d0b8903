"""Random cameras in a scene: where they are, where they look, and through which lens."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dense_perception.geometry.camera import Intrinsics
from dense_perception.world.renderer import View
from dense_perception.world.scene import Scene

_TRIES = 60
_HELD = {'tabletop': 0.7, 'dining': 0.7}  # share of the cameras that are held in a hand
_ABOVE = {'worktop': 0.8}  # and that are held near what they look at
_AHEAD = 2.0  # metres in front of a camera that should be free, where it looks past something


@dataclass(frozen=True)
class Cameras:
    """Which cameras look at a scene.

    ``lens``: narrowest and widest horizontal field of view, degrees. ``beside``: each stands next
    to an object and looks past it, so that the object leaves the image at a side.

    :raises ValueError: the fields of view are no range within 5 to 150 degrees.
    """

    lens: tuple[float, float] = (45.0, 100.0)
    beside: bool = False

    def __post_init__(self) -> None:
        narrowest, widest = self.lens
        if not 5 <= narrowest <= widest <= 150:
            raise ValueError(f'fields of view from {narrowest:g} to {widest:g} degrees: give the '
                             'narrowest, then the widest, within 5 to 150')

    @property
    def name(self) -> str:
        """What a folder of their frames is called after; '' for the usual cameras."""
        lens = '' if self.lens == Cameras.lens else 'lens_{:g}_{:g}'.format(*self.lens)
        return '_'.join(filter(None, ('beside' if self.beside else '', lens)))

    def view(self, scene: Scene, rng: np.random.Generator) -> View:
        """Where one of them is."""
        return _view_beside(scene, rng) if self.beside else _view_around(scene, rng)

    def intrinsics(self, width: int, height: int, rng: np.random.Generator) -> Intrinsics:
        """One of 5:4 to 16:9, squeezed into width x height pixels."""
        half_fov = math.radians(rng.uniform(*self.lens)) / 2
        fx = width / 2 / math.tan(half_fov)
        aspect = rng.choice([5 / 4, 4 / 3, 4 / 3, 1.5, 16 / 9])  # of the sensor
        fy = fx * aspect * height / width
        return Intrinsics(fx, fy, (width - 1) / 2 + rng.normal(0, 0.015) * width,
                          (height - 1) / 2 + rng.normal(0, 0.015) * height, width, height)


USUAL = Cameras()


def _view_around(scene: Scene, rng: np.random.Generator) -> View:
    """A camera in free space, mostly turned towards something to see.

    Two thirds (fewer at tables and in dining rooms) are robots' cameras: 0.15-2 m high, looking
    from 10 degrees up to 35 down, rolled by a degree or two. The others are held in a hand:
    0.9-1.75 m high, aimed at things and people, up to 40 degrees down, rolled by several degrees.
    Over worktops most are nearer and steeper.
    """
    above = _ABOVE.get(scene.kind)
    if above and scene.targets and rng.random() < above:
        return _view_from_above(scene, rng)
    held = _is_held(scene, rng)
    target = _target(scene, rng)
    x, y = _place(scene, target, rng)
    z = _height(held, rng)
    roll = _roll(held, rng)
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


def _view_beside(scene: Scene, rng: np.random.Generator) -> View:
    """A camera 0.3-1.1 m from an object, turned away from it by 20-49 degrees, to the freer side.

    What passes a robot closely is seen like that, and what stands at the edges of a room where
    somebody holds a camera; the cameras of :func:`_view_around` aim at things from afar. Where
    nothing stands, or nowhere next to it, those are the answer.
    """
    held = _is_held(scene, rng)
    for _ in range(_TRIES if scene.obstacles else 0):
        ox, oy, radius = scene.obstacles[int(rng.integers(len(scene.obstacles)))]
        away, angle = radius + rng.uniform(0.3, 1.1), rng.uniform(-math.pi, math.pi)
        x, y = ox + away * math.cos(angle), oy + away * math.sin(angle)
        if scene.clearance(x, y) < 0.2:
            continue
        towards, turn = math.atan2(oy - y, ox - x), rng.uniform(0.35, 0.85)
        yaw = max((towards + turn, towards - turn), key=lambda yaw: scene.clearance(
            x + _AHEAD * math.cos(yaw), y + _AHEAD * math.sin(yaw)))
        z = _height(held, rng)
        pitch = math.radians(np.clip(rng.normal(12, 9), -10, 40))
        roll = _roll(held, rng)
        return View(x, y, z, yaw, pitch, roll, scene.ground(x, y))
    return _view_around(scene, rng)


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


def _is_held(scene: Scene, rng: np.random.Generator) -> bool:
    """Whether a camera is held in a hand rather than a robot's."""
    return rng.random() < _HELD.get(scene.kind, 0.33)


def _height(held: bool, rng: np.random.Generator) -> float:
    return rng.uniform(0.9, 1.75) if held else rng.uniform(0.15, 2.0)


def _roll(held: bool, rng: np.random.Generator) -> float:
    return math.radians(rng.normal(0, 4.0 if held else 1.5))


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

"""Rooms about one or two worktops, for cameras that an arm, a stand or a hand holds over them."""

from __future__ import annotations

import math

import numpy as np

from dense_perception.world import clutter, furniture, goods
from dense_perception.world.builder import Area, SceneBuilder
from dense_perception.world.indoors import Room, along_walls, build_shell, crowd, light
from dense_perception.world.parts import Maker, Parts, placed_point

# What is picked up and put down.
_LOOSE: tuple[Maker, ...] = (clutter.package, clutter.package, clutter.package, clutter.mug,
                             clutter.toy, clutter.tape, clutter.book)
_POINTS = 4  # on a top, that cameras are aimed at


def worktop(b: SceneBuilder) -> Area:
    """One or two tables, benches or desks, with a few things or many; little else."""
    rng = b.rng
    inside = Room(rng.uniform(1.5, 3.2), rng.uniform(1.5, 3.2), rng.uniform(2.3, 3.2))
    build_shell(b, inside)
    points: list[tuple[float, float, float]] = []
    for _ in range(int(rng.integers(1, 3))):
        half = rng.uniform(.3, .6), rng.uniform(.45, 1.2)
        height = rng.uniform(.65, 1.0)
        parts = _loaded(rng, half, height)
        x, y = rng.uniform(-1, 1, 2) * (inside.x - .8, inside.y - .8)
        yaw = rng.normal(0, .1) + rng.integers(4) * math.pi / 2
        if not b.fits(parts, x, y, yaw):
            continue
        b.place(parts, x, y, yaw)
        points += [(*placed_point(u, v, x, y, yaw), height)
                   for u, v in rng.uniform(-.9, .9, (_POINTS, 2)) * half]
    along_walls(b, inside, (*furniture.OFFICE, *furniture.HOME, goods.boxes),
                int(rng.integers(0, 6)))
    crowd(b, (-inside.x, -inside.y, inside.x, inside.y), 1)
    light(b, inside)
    b.targets = points
    return -inside.x, -inside.y, inside.x, inside.y


def _loaded(rng: np.random.Generator, half: tuple[float, float], height: float) -> Parts:
    """A table with a few loose things on it, or full of them and of what desks have."""
    parts = furniture.bare_table(rng, *half, height, furniture.look_of(rng, .6),
                                 rng.uniform(.012, .03), False)
    if rng.random() < .5:
        return parts + clutter.strewn(rng, _LOOSE, int(rng.integers(1, 7)), half, height)
    return parts + clutter.strewn(rng, (*clutter.DESK, *_LOOSE), int(rng.integers(5, 16)), half,
                                  height)

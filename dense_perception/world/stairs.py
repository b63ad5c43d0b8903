"""Stairs, ramps and kerbs: ground that rises."""

from __future__ import annotations

import numpy as np

from dense_perception.world.classes import FURNITURE, GROUND
from dense_perception.world.parts import STEEL, WHITE, Part, Parts, one_of
from dense_perception.world.shapes import Mesh, box, quad, tube


def stairs(rng: np.random.Generator, width: float, highest: float = 3.0) -> Parts:
    """A flight of stairs that rises along x and ends in a landing."""
    rise, tread = rng.uniform(.13, .19), rng.uniform(.26, .34)
    steps = int(rng.integers(2, max(3, min(12, int(highest / rise)))))
    landing = rng.uniform(.6, 1.5)
    total = steps * tread + landing
    look = str(one_of(rng, ('concrete', 'wood', 'floor', 'pavement')))
    meshes = []
    for i in range(steps):
        length = total - i * tread
        meshes.append(box((length / 2, width / 2, rise / 2),
                          (total / 2 - length / 2, 0, (i + .5) * rise)))
    parts = [Part(m, look, WHITE, GROUND) for m in meshes]
    if rng.random() < .6:
        x0, x1, x2 = -total / 2, -total / 2 + steps * tread, total / 2
        for s in (-1, 1):
            y, h = s * (width / 2 - .05), steps * rise
            rail = [tube([(x0, y, .95), (x1, y, h + .95), (x2, y, h + .95)], .022, 5)]
            rail += [tube([(x, y, z), (x, y, z + .95)], .014, 4) for x, z in
                     ((x0 + .05, rise), ((x0 + x1) / 2, h / 2), (x1, h), (x2 - .05, h))]
            parts += [Part(m, 'plain', STEEL, FURNITURE) for m in rail]
    return parts


def ramp(rng: np.random.Generator, width: float) -> Parts:
    """A ramp of 4-12 degrees that rises along x to a small platform."""
    length, slope = rng.uniform(1.5, 4.0), np.radians(rng.uniform(4, 12))
    high, half = length * float(np.tan(slope)), width / 2
    look = str(one_of(rng, ('concrete', 'wood', 'pavement')))
    top = quad((0, -half, 0), (length, 0, high), (0, width, 0))
    sides = [Mesh(np.array([(0, s * half, 0), (length, s * half, 0), (length, s * half, high)],
                           float), np.tile([0.0, s, 0.0], (3, 1)),
                  np.array([(0, 0), (length, 0), (length, high)], float),
                  np.array([(0, 1, 2) if s < 0 else (0, 2, 1)])) for s in (-1, 1)]
    deck = box((.5, half, high / 2), (length + .5, 0, high / 2))
    return [Part(m.moved((-length / 2 - .5, 0, 0)), look, WHITE, GROUND)
            for m in (top, *sides, deck)]

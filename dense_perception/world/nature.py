"""Trees, bushes, plants in pots, rocks."""

from __future__ import annotations

import math

import numpy as np

from dense_perception.world.classes import FURNITURE, POLE
from dense_perception.world.clutter import leaves
from dense_perception.world.parts import WHITE, Colour, Part, Parts, tint
from dense_perception.world.shapes import blob, ellipsoid, lathe, loft, tube


def _green(rng: np.random.Generator) -> Colour:
    autumn = rng.random() < .12
    return ((rng.uniform(.8, 1), rng.uniform(.5, .8), .4) if autumn else
            (rng.uniform(.55, 1), rng.uniform(.75, 1), rng.uniform(.5, .9)))


def plant(rng: np.random.Generator) -> Parts:
    """Plant in a pot: long leaves, a bushy ball, or a small tree."""
    r, h = rng.uniform(.1, .22), rng.uniform(.15, .4)
    parts = [Part(lathe([(.75 * r, 0), (r, h)]), 'plain', tint(rng, .3))]
    kind = rng.random()
    if kind < .5:
        return parts + leaves(rng, h, rng.uniform(.4, .9), int(rng.integers(8, 16)))
    size = rng.uniform(.18, .4)
    stem = 0.0 if kind < .75 else rng.uniform(.3, .8)
    parts.append(Part(tube([(0, 0, h - .05), (0, 0, h + stem + size)], .02, 5), 'bark'))
    return parts + _crown(rng, size, h + stem + .7 * size, 4)


def _crown(rng: np.random.Generator, size: float, z: float, lumps: int) -> Parts:
    green = _green(rng)
    parts = []
    for _ in range(lumps):
        x, y, up = rng.normal(0, .4 * size, 3)
        parts.append(Part(blob(size * rng.uniform(.45, .8), rng, (x, y, z + up), .5), 'leaf',
                          green, FURNITURE))
    return parts


def tree(rng: np.random.Generator) -> Parts:
    """A tree: the trunk is a pole to a robot, the crown is furniture (any static object)."""
    tall, r = rng.uniform(1.6, 4.0), rng.uniform(.07, .25)
    bend = rng.normal(0, .12 * tall, 2)
    trunk = loft([(0, 0, -.2), (0, 0, .15), (*(.3 * bend), .5 * tall), (*bend, tall)],
                 [1.5 * r, r, .85 * r, .55 * r], 8)
    parts = [Part(trunk, 'bark', WHITE, POLE)]
    if rng.random() < .25:
        tip = tall + rng.uniform(2, 4)
        for i in range(4):
            z, w = .5 * tall + i * (tip - .5 * tall) / 4, 1.7 - .38 * i
            parts.append(Part(lathe([(w, z), (.6 * w, z + .9), (.05, z + 1.9)], sides=9), 'leaf',
                              (.45, .65, .5)))
        return parts
    for _ in range(int(rng.integers(2, 5))):
        a = rng.uniform(0, 2 * math.pi)
        out = np.array([math.cos(a), math.sin(a), rng.uniform(.6, 1.4)]) * rng.uniform(.6, 1.3)
        start = np.array([*bend, .9 * tall])
        parts.append(Part(tube([start, start + out], [.5 * r, .2 * r], 5), 'bark', WHITE, POLE))
    size = rng.uniform(.9, 2.0)
    crown = _crown(rng, size, tall + .7 * size, int(rng.integers(5, 9)))
    return parts + [Part(p.mesh.moved((*bend, 0)), p.texture, p.colour) for p in crown]


def bush(rng: np.random.Generator) -> Parts:
    """Bush, or a clipped hedge."""
    size = rng.uniform(.3, .8)
    if rng.random() < .3:
        hedge = ellipsoid((rng.uniform(.2, .4), rng.uniform(.6, 1.8), size), (0, 0, .9 * size),
                          10, 6, 5)
        return [Part(hedge, 'leaf', _green(rng))]
    return _crown(rng, size, .6 * size, int(rng.integers(3, 6)))


def rock(rng: np.random.Generator) -> Parts:
    """A boulder, partly in the ground."""
    r = rng.uniform(.12, .6)
    return [Part(blob(r, rng, (0, 0, .3 * r), .35, 9, 7), 'stone', (.8, .8, .8))]


def tuft(rng: np.random.Generator) -> Parts:
    """Tall grass or weeds."""
    return leaves(rng, 0.0, rng.uniform(.2, .6), int(rng.integers(6, 12)))

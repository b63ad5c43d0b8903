"""What objects are made of: meshes with a class, a material and a colour.

A maker takes a random generator and returns parts in the object's own frame: x forward, y left,
z up, z = 0 on the ground, metres and radians.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dense_perception.world.classes import FURNITURE
from dense_perception.world.shapes import Mesh, Vector
from dense_perception.world.textures import Texture

Colour = tuple[float, float, float]
WHITE: Colour = (1.0, 1.0, 1.0)
BLACK: Colour = (0.06, 0.06, 0.07)
STEEL: Colour = (0.6, 0.61, 0.63)


@dataclass(frozen=True)
class Part:
    """A mesh of one class.

    ``texture``, a kind of ``textures.py`` or an image of its own, is multiplied by ``colour``.
    """

    mesh: Mesh
    texture: str | Texture = 'plain'
    colour: Colour = WHITE
    label: int = FURNITURE


Parts = list[Part]
Maker = Callable[[np.random.Generator], Parts]


def placed(parts: Sequence[Part], pos: Vector, yaw: float = 0.0, pitch: float = 0.0,
           roll: float = 0.0) -> Parts:
    """Parts turned and shifted as one body."""
    return [replace(p, mesh=p.mesh.moved(pos, yaw, pitch, roll)) for p in parts]


def placed_point(u: float, v: float, x: float, y: float, yaw: float) -> tuple[float, float]:
    """Where point (u, v) of a body comes to that stands at (x, y), turned by ``yaw``."""
    c, s = math.cos(yaw), math.sin(yaw)
    return x + c * u - s * v, y + s * u + c * v


def footprint(parts: Sequence[Part]) -> float:
    """Radius in metres of the circle on the ground that holds the object."""
    return max(float(np.hypot(p.mesh.vertices[:, 0], p.mesh.vertices[:, 1]).max()) for p in parts)


def extent(parts: Sequence[Part]) -> np.ndarray:
    """Lower and upper corner of the box around an object, shape (2, 3)."""
    points = np.concatenate([p.mesh.vertices for p in parts])
    return np.stack([points.min(axis=0), points.max(axis=0)])


_COMMON = np.array([  # black, greys, whites, beige, browns, navy: what most things are
    (.07, .07, .08), (.2, .2, .21), (.4, .4, .41), (.62, .62, .6), (.85, .85, .84),
    (.95, .94, .92), (.8, .74, .63), (.62, .5, .38), (.42, .3, .2), (.16, .2, .32), (.3, .33, .3)])
_BRIGHT = np.array([
    (.75, .12, .12), (.85, .4, .1), (.9, .75, .2), (.2, .5, .22), (.15, .4, .7), (.1, .55, .55),
    (.5, .2, .5), (.85, .45, .55), (.55, .1, .15), (.35, .55, .8)])


def tint(rng: np.random.Generator, bright: float = 0.3, darkest: float = 0.0) -> Colour:
    """A colour as made things have it; ``bright`` is the share of strong colours."""
    bank = _BRIGHT if rng.random() < bright else _COMMON
    colour = bank[int(rng.integers(len(bank)))] * rng.uniform(0.7, 1.15)
    return rgb(np.clip(colour + rng.normal(0, 0.03, 3), max(darkest, 0.03), 1.0))


def wood_tint(rng: np.random.Generator) -> Colour:
    """Brightness of a wood, from ebony to birch, or its paint."""
    return rgb(np.ones(3) * rng.uniform(0.45, 1.0) * np.array([1, rng.uniform(.9, 1), 1]))


def rgb(values: np.ndarray) -> Colour:
    """An array of three as a colour."""
    red, green, blue = (float(v) for v in values)
    return red, green, blue


def one_of(rng: np.random.Generator, choices: Sequence) -> Any:
    """A random element, whatever its type."""
    return choices[int(rng.integers(len(choices)))]

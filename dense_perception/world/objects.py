"""Things that stand in the world, built from primitive parts at real sizes.

Each maker returns parts in the object's own frame: x forward, y left, z up, z = 0 on the ground,
metres and radians. Sizes are MuJoCo's half sizes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dense_perception.world.classes import FURNITURE, PERSON, POLE, VEHICLE

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Part:
    """One primitive: ``box`` | ``cylinder`` | ``sphere`` | ``capsule`` | ``ellipsoid``.

    ``texture`` is a kind of ``textures.py``; the texture is multiplied with ``colour``.
    """

    shape: str
    size: Sequence[float]
    pos: Sequence[float]
    label: int
    texture: str = 'plain'
    colour: Colour = (1.0, 1.0, 1.0)
    euler: Sequence[float] = (0.0, 0.0, 0.0)


def footprint(parts: Sequence[Part]) -> float:
    """Radius in metres of the circle on the ground that holds the object."""
    return max(math.hypot(p.pos[0], p.pos[1]) + _reach(p) for p in parts)


def _reach(part: Part) -> float:
    if part.shape == 'box':
        return math.hypot(part.size[0], part.size[1])
    upright = part.shape in ('cylinder', 'capsule') and not any(part.euler)
    return part.size[0] if upright else max(part.size)


def _tint(rng: np.random.Generator, low: float = 0.15, high: float = 1.0) -> Colour:
    hue = rng.uniform(low, high, 3)
    grey = rng.random() < 0.4
    return tuple(float(v) for v in (np.full(3, hue[0]) if grey else hue))


def table(rng: np.random.Generator) -> list[Part]:
    """Table, desk or bench."""
    lx, ly = rng.uniform(0.35, 1.0), rng.uniform(0.3, 0.5)
    height, colour = rng.uniform(0.42, 1.0), _tint(rng, 0.4)
    parts = [Part('box', (lx, ly, 0.02), (0, 0, height), FURNITURE, 'wood', colour)]
    for sx in (-1, 1):
        for sy in (-1, 1):
            parts.append(Part('box', (0.025, 0.025, height / 2),
                              (sx * (lx - 0.05), sy * (ly - 0.05), height / 2), FURNITURE,
                              'plain', colour))
    if rng.random() < 0.6:
        size = rng.uniform(0.06, 0.2, 3)
        parts.append(Part('box', size, (rng.uniform(-0.5, 0.5) * lx, 0, height + 0.02 + size[2]),
                          FURNITURE, 'plain', _tint(rng)))
    return parts


def chair(rng: np.random.Generator) -> list[Part]:
    """Chair with a back; four legs or a post."""
    seat, half, colour = rng.uniform(0.4, 0.5), rng.uniform(0.19, 0.25), _tint(rng)
    cloth = rng.choice(['fabric', 'wood', 'plain'])
    parts = [Part('box', (half, half, 0.03), (0, 0, seat), FURNITURE, cloth, colour),
             Part('box', (0.02, half, 0.24), (-half, 0, seat + 0.25), FURNITURE, cloth, colour)]
    if rng.random() < 0.3:
        parts += [Part('cylinder', (0.03, seat / 2), (0, 0, seat / 2), FURNITURE),
                  Part('cylinder', (0.26, 0.03), (0, 0, 0.04), FURNITURE, 'plain', (.2, .2, .2))]
    else:
        parts += [Part('box', (0.018, 0.018, seat / 2),
                       (sx * (half - 0.03), sy * (half - 0.03), seat / 2), FURNITURE, 'plain',
                       colour) for sx in (-1, 1) for sy in (-1, 1)]
    return parts


def sofa(rng: np.random.Generator) -> list[Part]:
    """Sofa or armchair."""
    width, colour = rng.uniform(0.45, 1.1), _tint(rng)
    def cloth(size, pos):
        return Part('box', size, pos, FURNITURE, 'fabric', colour)
    return [cloth((0.42, width, 0.2), (0, 0, 0.22)), cloth((0.1, width, 0.42), (-0.4, 0, 0.42)),
            cloth((0.42, 0.09, 0.3), (0, width, 0.3)), cloth((0.42, 0.09, 0.3), (0, -width, 0.3))]


def shelf(rng: np.random.Generator) -> list[Part]:
    """Open shelf or warehouse rack with boxes in it."""
    depth, width = rng.uniform(0.15, 0.45), rng.uniform(0.4, 1.3)
    height, levels = rng.uniform(0.9, 2.4), int(rng.integers(2, 6))
    colour = _tint(rng, 0.3)
    parts = [Part('box', (depth, 0.02, height / 2), (0, s * width, height / 2), FURNITURE, 'wood',
                  colour) for s in (-1, 1)]
    for level in range(levels + 1):
        z = 0.05 + level * (height - 0.07) / levels
        parts.append(Part('box', (depth, width, 0.015), (0, 0, z), FURNITURE, 'wood', colour))
        if level < levels and rng.random() < 0.8:
            half = rng.uniform(0.25, 0.45) * height / levels
            span = rng.uniform(0.2, 0.9) * width
            parts.append(Part('box', (0.8 * depth, span, half),
                              (0, rng.uniform(-1, 1) * (width - span), z + half + 0.015),
                              FURNITURE, str(rng.choice(['plain', 'fabric', 'wall'])), _tint(rng)))
    return parts


def cabinet(rng: np.random.Generator) -> list[Part]:
    """Closed cupboard, fridge or drawer block."""
    size = np.array([rng.uniform(0.2, 0.4), rng.uniform(0.25, 0.7), rng.uniform(0.3, 1.0)])
    colour = _tint(rng, 0.4)
    parts = [Part('box', size, (0, 0, size[2]), FURNITURE, str(rng.choice(['wood', 'plain'])),
                  colour)]
    rows = int(rng.integers(1, 4))
    for row in range(rows):
        z = (row + 0.5) * 2 * size[2] / rows
        parts.append(Part('box', (0.012, 0.94 * size[1], 0.92 * size[2] / rows),
                          (size[0], 0, z), FURNITURE, 'wood', colour))
        parts.append(Part('box', (0.015, 0.06, 0.012), (size[0] + 0.015, 0, z), FURNITURE,
                          'plain', (0.2, 0.2, 0.2)))
    return parts


def box_stack(rng: np.random.Generator) -> list[Part]:
    """One to three boxes or crates on one another."""
    parts, z = [], 0.0
    base = rng.uniform(0.12, 0.5)
    for _ in range(int(rng.integers(1, 4))):
        size = base * rng.uniform(0.6, 1.0, 3)
        parts.append(Part('box', size, (0, 0, z + size[2]), FURNITURE,
                          str(rng.choice(['wood', 'plain', 'fabric'])), _tint(rng, 0.3),
                          (0, 0, rng.uniform(0, math.pi))))
        z += 2 * size[2]
    return parts


def barrel(rng: np.random.Generator) -> list[Part]:
    """Barrel, bin or traffic cone."""
    radius, half = rng.uniform(0.1, 0.32), rng.uniform(0.2, 0.5)
    if rng.random() < 0.3:
        orange = (1.0, rng.uniform(0.25, 0.5), 0.1)
        return [Part('cylinder', (0.16 * (1 - i / 6), 0.05), (0, 0, 0.05 + 0.1 * i), FURNITURE,
                     'plain', orange if i % 2 else (0.95, 0.95, 0.95)) for i in range(6)]
    return [Part('cylinder', (radius, half), (0, 0, half), FURNITURE,
                 str(rng.choice(['plain', 'wood'])), _tint(rng))]


def ball(rng: np.random.Generator) -> list[Part]:
    """A ball on the ground."""
    radius = rng.uniform(0.08, 0.3)
    return [Part('sphere', (radius, 0, 0), (0, 0, radius), FURNITURE, 'fabric', _tint(rng))]


def plant(rng: np.random.Generator) -> list[Part]:
    """Potted plant or bush."""
    pot, size = rng.uniform(0.08, 0.2), rng.uniform(0.15, 0.5)
    parts = [Part('cylinder', (pot, 0.15), (0, 0, 0.15), FURNITURE, 'plain', _tint(rng))]
    for _ in range(int(rng.integers(3, 8))):
        offset = rng.normal(0, 0.4 * size, 3)
        parts.append(Part('ellipsoid', size * rng.uniform(0.3, 0.8, 3),
                          (offset[0], offset[1], 0.3 + size + offset[2]), FURNITURE, 'vegetation',
                          euler=rng.uniform(0, math.pi, 3)))
    return parts


def pole(rng: np.random.Generator) -> list[Part]:
    """Pillar, lamp post, sign post or bollard."""
    kind = rng.choice(['pillar', 'lamp', 'sign', 'bollard'])
    colour = _tint(rng, 0.2)
    if kind == 'pillar':
        side, half = rng.uniform(0.1, 0.3), rng.uniform(1.2, 2.5)
        shape, size = (('box', (side, side, half)) if rng.random() < 0.5
                       else ('cylinder', (side, half)))
        return [Part(shape, size, (0, 0, half), POLE, 'wall', colour)]
    if kind == 'bollard':
        half = rng.uniform(0.35, 0.6)
        return [Part('cylinder', (rng.uniform(0.05, 0.12), half), (0, 0, half), POLE, 'plain',
                     colour)]
    half = rng.uniform(1.1, 3.0)
    parts = [Part('cylinder', (rng.uniform(0.03, 0.09), half), (0, 0, half), POLE, 'plain',
                  colour)]
    if kind == 'sign':
        parts.append(Part('box', (0.02, rng.uniform(0.2, 0.4), rng.uniform(0.2, 0.4)),
                          (0.08, 0, 2 * half - 0.3), POLE, 'plain', _tint(rng)))
    else:
        parts.append(Part('box', (0.35, 0.07, 0.05), (0.3, 0, 2 * half), POLE, 'plain', colour))
    return parts


def tree(rng: np.random.Generator) -> list[Part]:
    """A tree: the trunk is a pole to a robot, the crown is furniture (any static object)."""
    half, crown = rng.uniform(0.8, 1.8), rng.uniform(0.6, 1.6)
    parts = [Part('cylinder', (rng.uniform(0.08, 0.25), half), (0, 0, half), POLE, 'wood',
                  (0.5, 0.4, 0.3))]
    for _ in range(int(rng.integers(4, 9))):
        offset = rng.normal(0, 0.4 * crown, 3)
        parts.append(Part('ellipsoid', crown * rng.uniform(0.4, 0.9, 3),
                          (offset[0], offset[1], 2 * half + 0.4 * crown + abs(offset[2])),
                          FURNITURE, 'vegetation', euler=rng.uniform(0, math.pi, 3)))
    return parts


def vehicle(rng: np.random.Generator) -> list[Part]:
    """Car, van, truck or warehouse truck."""
    kind = rng.choice(['car', 'car', 'van', 'forklift'])
    paint = _tint(rng, 0.05)
    glass, tyre = (0.1, 0.12, 0.15), (0.06, 0.06, 0.06)
    if kind == 'forklift':
        lx, ly, z = rng.uniform(0.6, 1.0), rng.uniform(0.4, 0.6), 0.55
        parts = [Part('box', (lx, ly, 0.35), (0, 0, z), VEHICLE, 'plain', paint),
                 Part('box', (0.05, ly, 0.9), (lx + 0.05, 0, 1.1), VEHICLE, 'plain', (.2, .2, .2)),
                 Part('box', (0.5, 0.06, 0.02), (lx + 0.5, 0.25, 0.12), VEHICLE, 'plain', tyre),
                 Part('box', (0.5, 0.06, 0.02), (lx + 0.5, -0.25, 0.12), VEHICLE, 'plain', tyre),
                 Part('box', (0.4, ly, 0.03), (-0.1, 0, 2.0), VEHICLE, 'plain', paint)]
        parts += [Part('cylinder', (0.025, 0.55), (x, s * (ly - 0.05), 1.45), VEHICLE, 'plain',
                       tyre) for x in (-0.45, 0.25) for s in (-1, 1)]
        wheel = 0.25
    else:
        lx, ly = rng.uniform(1.8, 2.4), rng.uniform(0.8, 0.95)
        wheel = rng.uniform(0.28, 0.36)
        low = rng.uniform(0.25, 0.35)
        cabin = rng.uniform(0.22, 0.32) if kind == 'car' else rng.uniform(0.45, 0.75)
        cx, clx = ((-0.15 * lx, 0.55 * lx) if kind == 'car' else (-0.1 * lx, 0.86 * lx))
        top = 0.3 + 2 * low
        parts = [Part('box', (lx, ly, low), (0, 0, 0.3 + low), VEHICLE, 'plain', paint),
                 Part('box', (clx, 0.88 * ly, cabin), (cx, 0, top + cabin), VEHICLE, 'plain',
                      glass if kind == 'car' else paint),
                 Part('box', (0.92 * clx, 0.86 * ly, 0.04), (cx, 0, top + 2 * cabin), VEHICLE,
                      'plain', paint),
                 Part('box', (0.04, 0.8 * ly, 0.08), (lx, 0, 0.55), VEHICLE, 'plain', glass)]
        parts += [Part('box', (0.03, 0.14, 0.07), (lx, s * 0.7 * ly, 0.7), VEHICLE, 'plain',
                       (1, 1, 0.85)) for s in (-1, 1)]
        parts += [Part('box', (0.03, 0.12, 0.1), (-lx, s * 0.75 * ly, 0.75), VEHICLE, 'plain',
                       (0.7, 0.05, 0.05)) for s in (-1, 1)]
        if kind == 'van':
            parts.append(Part('box', (0.03, 0.75 * ly, 0.8 * cabin),
                              (cx + clx, 0, top + cabin), VEHICLE, 'plain', glass))
    parts += [Part('cylinder', (wheel, 0.1), (sx * 0.62 * lx, sy * (ly - 0.05), wheel), VEHICLE,
                   'plain', tyre, (math.pi / 2, 0, 0)) for sx in (-1, 1) for sy in (-1, 1)]
    return parts


def person(rng: np.random.Generator) -> list[Part]:
    """A person of 1.5-1.95 m, standing, walking or sitting on a stool."""
    tall = rng.uniform(1.5, 1.95)
    build = rng.uniform(0.85, 1.2)
    skin = tuple(float(v) for v in np.array([0.95, 0.72, 0.58]) * rng.uniform(0.35, 1.0))
    top, trousers = _tint(rng, 0.05), _tint(rng, 0.05, 0.6)
    sitting = rng.random() < 0.15
    hip = 0.47 if sitting else 0.5 * tall
    swing = 1.45 if sitting else rng.choice([0.0, rng.uniform(0.1, 0.5)])
    parts = [Part('ellipsoid', (0.13 * build, 0.2 * build, 0.19 * tall), (0, 0, hip + 0.16 * tall),
                  PERSON, 'fabric', top),
             Part('ellipsoid', (0.12 * build, 0.16 * build, 0.09 * tall), (0, 0, hip + 0.01),
                  PERSON, 'fabric', trousers),
             Part('ellipsoid', (0.095, 0.078, 0.12), (0.01, 0, hip + 0.43 * tall), PERSON,
                  'plain', skin),
             Part('ellipsoid', (0.1, 0.086, 0.085), (-0.02, 0, hip + 0.47 * tall), PERSON, 'plain',
                  _tint(rng, 0.02, 0.5)),
             Part('capsule', (0.05, 0.04), (0, 0, hip + 0.35 * tall), PERSON, 'plain', skin)]
    for side, sign in ((1, 1), (-1, -1)):
        parts += _leg(side, -swing if sitting else sign * swing, sitting, hip, build, trousers)
        arm = rng.uniform(0.2, 1.4) if rng.random() < 0.4 else -sign * swing * 0.7
        parts += _limb((0, side * 0.2 * build, hip + 0.3 * tall), arm, 0.34 * tall, 0.045 * build,
                       top, skin)
    if sitting:
        parts.append(Part('cylinder', (0.18, 0.21), (0, 0, 0.21), FURNITURE, 'wood'))
    return parts


def _leg(side: int, angle: float, sitting: bool, hip: float, build: float,
         colour: Colour) -> list[Part]:
    at = (0, side * 0.09, hip)
    if not sitting:
        shoe = (at[0] + hip * math.sin(angle), at[1], 0.05)
        return _limb(at, angle, hip / max(math.cos(angle), 0.5) - 0.05, 0.07 * build, colour,
                     colour) + [Part('ellipsoid', (0.13, 0.05, 0.05), shoe, PERSON, 'plain',
                                     (0.1, 0.1, 0.1))]
    knee = (0.42, side * 0.1, hip)
    return [Part('capsule', (0.075 * build, 0.19), (0.21, side * 0.1, hip), PERSON, 'fabric',
                 colour, (0, math.pi / 2, 0)),
            Part('capsule', (0.06 * build, hip / 2 - 0.05), (knee[0], knee[1], hip / 2), PERSON,
                 'fabric', colour)]


def _limb(at: Sequence[float], angle: float, length: float, radius: float, upper: Colour,
          lower: Colour) -> list[Part]:
    """Two capsules hanging from ``at``, swung forward by ``angle``."""
    def piece(start: float, end: float, colour: Colour, texture: str) -> Part:
        mid, half = (start + end) / 2 * length, (end - start) / 2 * length
        pos = (at[0] + mid * math.sin(angle), at[1], at[2] - mid * math.cos(angle))
        return Part('capsule', (radius, half), pos, PERSON, texture, colour, (0, -angle, 0))
    return [piece(0.0, 0.6, upper, 'fabric'),
            piece(0.6, 1.0, lower, 'fabric' if upper is lower else 'plain')]


INDOOR: tuple[Callable[[np.random.Generator], list[Part]], ...] = (
    table, chair, chair, sofa, shelf, shelf, cabinet, cabinet, box_stack, barrel, ball, plant)
STORAGE = (shelf, shelf, shelf, box_stack, box_stack, barrel, cabinet)
OUTDOOR = (box_stack, barrel, plant, tree, tree, ball, table)

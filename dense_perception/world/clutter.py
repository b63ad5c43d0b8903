"""Small things that lie on tables, shelves and floors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dense_perception.world.parts import (
    BLACK,
    STEEL,
    WHITE,
    Maker,
    Part,
    Parts,
    footprint,
    one_of,
    placed,
    tint,
    wood_tint,
)
from dense_perception.world.shapes import blob, box, ellipsoid, lathe, loft, tube


def mug(rng: np.random.Generator) -> Parts:
    """Mug, glass, bowl, can or bottle."""
    r, h = rng.uniform(0.032, 0.045), rng.uniform(0.08, 0.13)
    colour = tint(rng, 0.45)
    kind = rng.choice(['mug', 'can', 'bowl', 'bottle', 'bottle'])
    if kind == 'mug':
        handle = tube([(r, 0, .75 * h), (r + .028, 0, .7 * h), (r + .028, 0, .35 * h),
                       (r, 0, .25 * h)], 0.006, 4)
        inner = Part(lathe([(0.85 * r, h - 0.004), (0.85 * r, h + 0.001)]), 'plain',
                     (.25, .18, .12))
        return [Part(lathe([(0.9 * r, 0), (r, 0.01), (r, h)]), 'plain', colour),
                Part(handle, 'plain', colour), inner]
    if kind == 'can':
        return [Part(lathe([(r, 0.004), (r, h)]), 'packaging', colour),
                Part(lathe([(.85 * r, h), (.8 * r, h + .006)]), 'plain', STEEL)]
    if kind == 'bowl':
        wide = rng.uniform(0.07, 0.15)
        return [Part(lathe([(.4 * wide, 0), (.8 * wide, .4 * wide), (wide, .6 * wide)]), 'plain',
                     colour)]
    return _bottle(rng, rng.uniform(0.2, 0.33))


def _bottle(rng: np.random.Generator, tall: float) -> Parts:
    r, colour = tall * rng.uniform(0.13, 0.2), tint(rng, 0.4)
    body = lathe([(r, 0), (r, .55 * tall), (.9 * r, .65 * tall), (.35 * r, .8 * tall),
                  (.33 * r, .95 * tall)], sides=9)
    return [Part(body, 'plain', colour),
            Part(lathe([(.4 * r, .94 * tall), (.4 * r, tall)]), 'plain', tint(rng, .6)),
            Part(lathe([(1.03 * r, .15 * tall), (1.03 * r, .5 * tall)]), 'packaging', WHITE)]


def book(rng: np.random.Generator) -> Parts:
    """Book, folder or a pile of paper, lying."""
    parts, z = [], 0.0
    for _ in range(int(rng.integers(1, 4))):
        half = np.array([rng.uniform(.09, .15), rng.uniform(.07, .11), rng.uniform(.004, .025)])
        paper = rng.random() < 0.3
        mesh = box(half, (0, 0, 0), True).moved((0, 0, z + half[2]), rng.normal(0, 0.4))
        parts.append(Part(mesh, 'poster' if paper else 'packaging',
                          WHITE if paper else tint(rng, 0.6, 0.3)))
        z += 2 * half[2]
    return parts


def package(rng: np.random.Generator) -> Parts:
    """Printed packet or small carton, standing or lying."""
    half = np.sort(rng.uniform(0.02, 0.14, 3))[rng.permutation(3)]
    return [Part(box(half, (0, 0, half[2]), True), str(one_of(rng, ('packaging', 'packaging',
                                                                    'card'))), WHITE)]


def phone(rng: np.random.Generator) -> Parts:
    """Phone, mouse, remote control: flat dark plastic."""
    colour = tint(rng, 0.1)
    if rng.random() < 0.5:
        return [Part(ellipsoid((0.055, 0.032, 0.018), (0, 0, 0.018), 8, 4, 3), 'plain', colour)]
    half = (rng.uniform(.06, .1), rng.uniform(.025, .04), rng.uniform(.004, .012))
    return [Part(box(half, (0, 0, half[2])), 'plain', colour)]


def toy(rng: np.random.Generator) -> Parts:
    """Ball, fruit, soft toy or another round thing."""
    r, colour = rng.uniform(0.03, 0.13), tint(rng, 0.7)
    kind = rng.choice(['ball', 'lump', 'bear'])
    if kind == 'ball':
        return [Part(ellipsoid((r, r, r), (0, 0, r), 10, 8), 'print', colour)]
    if kind == 'lump':
        return [Part(blob(r, rng, (0, 0, r)), 'fabric', colour)]
    limbs = [ellipsoid((.8 * r, .9 * r, 1.1 * r), (0, 0, 1.1 * r)),
             ellipsoid((.65 * r, .7 * r, .65 * r), (0.1 * r, 0, 2.6 * r))]
    for y in (-1, 1):
        limbs += [ellipsoid((.25 * r, .25 * r, .25 * r), (0, .55 * y * r, 3.2 * r), 6, 4),
                  ellipsoid((.8 * r, .3 * r, .3 * r), (.9 * r, .5 * y * r, .3 * r), 6, 4)]
    return [Part(m, 'fabric', colour) for m in limbs]


def tape(rng: np.random.Generator) -> Parts:
    """A roll, a spool or a cup of pens."""
    r = rng.uniform(0.03, 0.07)
    parts = [Part(lathe([(r, 0), (r, rng.uniform(.02, .1))], sides=12), 'plain', tint(rng, .4))]
    for _ in range(int(rng.integers(0, 5))):
        tip = (rng.normal(0, 0.04), rng.normal(0, 0.04), rng.uniform(0.12, 0.19))
        parts.append(Part(tube([(0, 0, 0.02), tip], 0.004, 4), 'plain', tint(rng, 0.7)))
    return parts


def lamp(rng: np.random.Generator) -> Parts:
    """Desk lamp: with a shade, or on a jointed arm."""
    h, colour = rng.uniform(0.28, 0.55), tint(rng, 0.3)
    if rng.random() < 0.5:
        r = rng.uniform(0.09, 0.16)
        return [Part(lathe([(.08, 0), (.03, .03), (.02, .6 * h)]), 'plain', colour),
                Part(lathe([(r, .55 * h), (.65 * r, h)], sides=12), 'fabric', (1, .93, .8))]
    elbow, head = (-0.12, 0, 0.6 * h), (0.15, 0, h)
    shade = loft([head, (0.2, 0, h - 0.03), (0.25, 0, h - 0.1)], [0.02, 0.04, 0.075], 8)
    return [Part(lathe([(.09, 0), (.09, .02)]), 'plain', colour),
            Part(tube([(0, 0, .02), elbow, head], 0.009, 5), 'plain', colour),
            Part(shade, 'plain', colour)]


def monitor(rng: np.random.Generator) -> Parts:
    """Screen on a stand, or a laptop; on or off."""
    wide, colour = rng.uniform(0.18, 0.34), one_of(rng, (BLACK, BLACK, STEEL, (.85, .85, .84)))
    tall = wide * rng.uniform(0.56, 0.8)
    shows = ('screen', WHITE) if rng.random() < 0.6 else ('plain', (.05, .05, .06))
    if rng.random() < 0.3:
        tilt = rng.uniform(-0.5, -0.1)
        lid = [Part(box((.006, wide, tall), (0, 0, tall)), 'plain', colour),
               Part(box((.002, .93 * wide, .88 * tall), (.007, 0, 1.05 * tall), True), *shows)]
        return [Part(box((.8 * tall, wide, .009), (.8 * tall, 0, .009)), 'plain', colour),
                Part(box((.35 * tall, .9 * wide, .002), (.65 * tall, 0, .019), True), 'keys',
                     (.3, .3, .3)), *placed(lid, (0, 0, .018), pitch=tilt)]
    z = rng.uniform(0.08, 0.16)
    return [Part(box((.02, wide, tall), (0, 0, z + tall)), 'plain', colour),
            Part(box((.002, wide - .015, tall - .015), (.02, 0, z + tall), True), *shows),
            Part(box((.012, .03, z / 2 + .05), (-.03, 0, z / 2 + .05)), 'plain', colour),
            Part(lathe([(.12, 0), (.1, .02)]), 'plain', colour)]


def keyboard(rng: np.random.Generator) -> Parts:
    """A keyboard and its cable."""
    cable = tube([(.07, 0, .008), (.15, .05, .006), (.25, -.04, .006), (.4, .06, .006)], .005, 4)
    dark = tint(rng, 0.0)
    return [Part(box((.07, rng.uniform(.18, .23), .012), (0, 0, .012), True), 'keys', dark),
            Part(cable.moved(yaw=math.pi), 'plain', BLACK)]


def vase(rng: np.random.Generator) -> Parts:
    """A vase or small pot with leaves."""
    r, h, colour = rng.uniform(.035, .09), rng.uniform(.08, .22), tint(rng, 0.4)
    waist = rng.uniform(0.5, 1.3)
    parts = [Part(lathe([(.7 * r, 0), (waist * r, .5 * h), (r, h)]), 'plain', colour)]
    return parts + leaves(rng, h, rng.uniform(.12, .3), int(rng.integers(4, 10)))


def leaves(rng: np.random.Generator, base: float, length: float, count: int) -> Parts:
    """A tuft of long leaves that bend outwards from height ``base``."""
    green = (rng.uniform(.5, .9), rng.uniform(.8, 1.1), rng.uniform(.4, .7))
    parts = []
    wide = length * rng.uniform(0.04, 0.14)
    for i in range(count):
        a, up = 2.4 * i + rng.normal(0, 0.3), rng.uniform(0.3, 1.0)
        out = np.array([math.cos(a), math.sin(a), 0])
        reach = length * rng.uniform(0.6, 1.1)
        path = [out * reach * t + [0, 0, base + reach * up * (1.7 * t - t * t * 1.1)]
                for t in (0, .3, .65, 1)]
        blade = loft(path, np.array([[.3, .1], [1, .12], [.8, .1], [.05, .05]]) * wide, 4,
                     across=(-out[1], out[0], 0))
        parts.append(Part(blade, 'leaf', tuple(min(c, 1.0) for c in green)))
    return parts


SMALL: tuple[Maker, ...] = (mug, mug, mug, book, book, package, package, phone, toy, tape, vase)
DESK: tuple[Maker, ...] = (*SMALL, monitor, keyboard, lamp, monitor, phone)


def strewn(rng: np.random.Generator, makers: Sequence[Maker], count: int,
           half: tuple[float, float], z: float) -> Parts:
    """Up to ``count`` things side by side on a surface at height ``z``."""
    parts: Parts = []
    taken: list[tuple[float, float, float]] = []
    for _ in range(count):
        thing = makers[int(rng.integers(len(makers)))](rng)
        radius = 0.85 * footprint(thing)
        room = np.maximum(np.array(half) - 0.7 * radius, 0)
        for _ in range(4):
            x, y = rng.uniform(-room, room + 1e-6)
            if all(math.hypot(x - ox, y - oy) > radius + r for ox, oy, r in taken):
                yaw = rng.normal(0, 0.35) if rng.random() < 0.7 else rng.uniform(-3, 3)
                parts += placed(thing, (x, y, z), yaw)
                taken.append((x, y, radius))
                break
    return parts


def book_row(rng: np.random.Generator, length: float, depth: float, tall: float) -> Parts:
    """Books or folders standing side by side along y, spines towards x."""
    parts, y = [], -length
    while y < length:
        thick = rng.uniform(0.008, 0.035)
        if rng.random() < 0.9:
            h = min(tall, rng.uniform(0.09, 0.15))
            parts.append(Part(box((min(depth, rng.uniform(.08, .12)), thick, h), (0, y, h)),
                              'plain', tint(rng, 0.5)))
        y += 2 * thick + 0.002
        if rng.random() < 0.06:
            y += rng.uniform(0.05, 0.3)
    return parts


def painting(rng: np.random.Generator, half_w: float, half_h: float) -> Parts:
    """A framed picture, board or poster in the y-z plane, its back at x = 0."""
    frame = rng.uniform(0.01, 0.05)
    what = str(one_of(rng, ('poster', 'outside', 'packaging', 'paper')))
    return [Part(box((.012, half_w, half_h), (.012, 0, 0)), 'wood', wood_tint(rng)),
            Part(box((.004, half_w - frame, half_h - frame), (.024, 0, 0), True), what, WHITE)]

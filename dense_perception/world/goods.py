"""Boxes, pallets, racks, bins, cones: what stands in halls, yards and streets."""

from __future__ import annotations

import math

import numpy as np

from dense_perception.world.parts import (
    STEEL,
    WHITE,
    Colour,
    Maker,
    Part,
    Parts,
    one_of,
    placed,
    tint,
)
from dense_perception.world.shapes import box, ellipsoid, lathe, tube

_ORANGE: Colour = (1.0, 0.38, 0.08)


def carton(rng: np.random.Generator, half: np.ndarray) -> Part:
    """One box of given half sizes, standing on the ground."""
    kind = str(one_of(rng, ('card', 'card', 'card', 'packaging', 'plain')))
    return Part(box(half, (0, 0, half[2]), kind == 'packaging'), kind,
                tint(rng, .5) if kind == 'plain' else WHITE)


def boxes(rng: np.random.Generator) -> Parts:
    """One to four boxes or crates on one another."""
    parts, z = [], 0.0
    base = rng.uniform(.12, .4)
    for _ in range(int(rng.integers(1, 5))):
        half = base * rng.uniform(.6, 1.0, 3)
        parts += placed([carton(rng, half)], (*rng.normal(0, .03, 2), z),
                        rng.normal(0, .25))
        z += 2 * half[2]
    return parts


def pallet(rng: np.random.Generator) -> Parts:
    """Wooden pallet (1.2 x 0.8 m), loaded with boxes, sacks or drums, or empty."""
    wood = (.85, .75, .6)
    parts = [Part(box((.6, .045, .011), (0, y, .133)), 'wood', wood)
             for y in np.linspace(-.355, .355, 5)]
    parts += [Part(box((.6, .05, .05), (0, y, .055)), 'wood', wood) for y in (-.35, 0, .35)]
    load = rng.choice(['boxes', 'boxes', 'sacks', 'drums', 'wrap', 'none'])
    if load == 'boxes':
        n, m, layers = int(rng.integers(1, 4)), int(rng.integers(1, 3)), int(rng.integers(1, 4))
        half = np.array([.58 / n, .38 / m, rng.uniform(.1, .25)])
        kind, colour = str(one_of(rng, ('card', 'card', 'packaging'))), WHITE
        for i in range(n):
            for j in range(m):
                for k in range(layers if rng.random() < .85 else 1):
                    pos = ((2 * i + 1 - n) * half[0], (2 * j + 1 - m) * half[1],
                           .145 + (2 * k + 1) * half[2])
                    parts.append(Part(box(.97 * half, pos, kind != 'card'), kind, colour))
    elif load == 'sacks':
        parts += [Part(ellipsoid((.3, .38, .09), (x, 0, .23 + .16 * k), 8, 4, 3), 'fabric',
                       (.85, .8, .7)) for k in range(int(rng.integers(1, 5))) for x in (-.3, .3)]
    elif load == 'drums':
        for x, y in ((-.3, -.2), (.3, -.2), (0, .15)):
            parts += placed(drum(rng), (x, y, .145))
    elif load == 'wrap':
        h = rng.uniform(.3, .8)
        parts.append(Part(ellipsoid((.58, .38, h), (0, 0, .145 + h), 10, 6, 7), 'plain',
                          (.85, .87, .88)))
    return parts


def rack(rng: np.random.Generator) -> Parts:
    """Warehouse rack: steel posts, beams, boxes and pallets in every bay."""
    deep, wide = rng.uniform(.3, .55), rng.uniform(.9, 1.4)
    levels, gap = int(rng.integers(2, 4)), rng.uniform(.7, 1.2)
    post, beam = tint(rng, .5), one_of(rng, (_ORANGE, STEEL, (.9, .7, .1)))
    parts = [Part(box((.04, .04, levels * gap / 2 + .1), (x, y, levels * gap / 2 + .1)), 'plain',
                  post) for x in (-deep, deep) for y in (-wide, wide)]
    for level in range(levels):
        z = .1 + level * gap
        parts += [Part(box((.025, wide, .045), (x, 0, z)), 'plain', beam) for x in (-deep, deep)]
        parts.append(Part(box((deep, wide, .012), (0, 0, z + .05)), 'wood', (.8, .7, .6)))
        y = -wide + .1
        while y < wide - .2:
            half = np.array([deep * rng.uniform(.5, .9), rng.uniform(.1, .35),
                             rng.uniform(.1, .42 * gap)])
            if rng.random() < .85 and y + 2 * half[1] < wide:
                parts += placed([carton(rng, half)], (rng.normal(0, .04), y + half[1], z + .062))
            y += 2 * half[1] + rng.uniform(.01, .2)
    return parts


def drum(rng: np.random.Generator) -> Parts:
    """Barrel or drum."""
    r, h = rng.uniform(.18, .3), rng.uniform(.6, .9)
    rib = 1.04 * r
    profile = [(r, 0), (r, .3 * h), (rib, .33 * h), (r, .36 * h), (r, .64 * h), (rib, .67 * h),
               (r, .7 * h), (r, h)]
    return [Part(lathe(profile, sides=12), 'plain', tint(rng, .6))]


def bin_(rng: np.random.Generator) -> Parts:
    """Waste bin: a small round one, or a big one on wheels."""
    if rng.random() < .5:
        r, h = rng.uniform(.11, .2), rng.uniform(.25, .6)
        return [Part(lathe([(.8 * r, 0), (r, h)], sides=11), 'plain', tint(rng, .2)),
                Part(lathe([(.92 * r, h - .02), (.92 * r, h + .004)], sides=11), 'plain',
                     (.08, .08, .08))]
    colour = one_of(rng, ((.15, .16, .17), (.1, .3, .15), (.75, .6, .1), (.15, .25, .5)))
    body = lathe([(.27, .06), (.38, .95)], sides=4).moved(yaw=0)
    return [Part(body, 'plain', colour),
            Part(ellipsoid((.32, .3, .06), (0, 0, .98), 8, 4, 6), 'plain', tint(rng, .5)),
            *(Part(lathe([(.1, -.03), (.1, .03)]).moved((-.25, s * .22, .1), roll=math.pi / 2),
                   'plain', (.05, .05, .05)) for s in (-1, 1))]


def cone(rng: np.random.Generator) -> Parts:
    """Traffic cone with white rings."""
    h = rng.uniform(.3, .8)
    r = .22 * h
    parts = [Part(box((1.5 * r, 1.5 * r, .02), (0, 0, .02)), 'plain', _ORANGE)]
    for low, high, colour in ((0, .35, _ORANGE), (.35, .55, WHITE), (.55, .75, _ORANGE),
                              (.75, .85, WHITE), (.85, 1, _ORANGE)):
        parts.append(Part(lathe([(r * (1.1 - low), .03 + low * h), (r * (1.1 - high),
                                                                   .03 + high * h)]), 'plain',
                          colour))
    return parts


def ladder(rng: np.random.Generator) -> Parts:
    """Step ladder."""
    tall, colour = rng.uniform(1.0, 2.2), one_of(rng, (STEEL, STEEL, (.85, .7, .4)))
    meshes = [tube([(x * tall * .3, y, 0), (0, .8 * y, tall)], .022, 4)
              for x in (-1, 1) for y in (-.24, .24)]
    for t in np.arange(.15, .95, .25 / tall):
        meshes.append(box((.05, .22, .012), (.3 * tall * (1 - t), 0, t * tall)))
    return [Part(m, 'plain', colour) for m in meshes]


def trolley(rng: np.random.Generator) -> Parts:
    """Hand cart with a load."""
    lx, ly = rng.uniform(.35, .5), rng.uniform(.25, .35)
    steel = tint(rng, .3)
    parts = [Part(box((lx, ly, .02), (0, 0, .2)), 'plain', steel),
             Part(tube([(-lx, -ly, .2), (-lx, -ly, .95), (-lx, ly, .95), (-lx, ly, .2)], .017, 5),
                  'plain', STEEL)]
    parts += [Part(lathe([(.08, -.02), (.08, .02)]).moved((x, y, .08), roll=math.pi / 2), 'plain',
                   (.06, .06, .06)) for x in (-.8 * lx, .8 * lx) for y in (-.8 * ly, .8 * ly)]
    half = np.array([lx * rng.uniform(.4, .8), ly * rng.uniform(.4, .9), rng.uniform(.08, .3)])
    return parts + placed([carton(rng, half)], (rng.normal(0, .05), 0, .22))


def bench(rng: np.random.Generator) -> Parts:
    """Park bench of planks."""
    wide, colour = rng.uniform(.6, .95), (.7, .6, .5)
    slats = [box((.04, wide, .015), (x, 0, .44)) for x in (-.15, -.05, .05, .15)]
    slats += [box((.015, wide, .04), (-.22 - .03 * i, 0, .56 + .1 * i)) for i in range(3)]
    legs = [tube([(.18, s * .8 * wide, 0), (.16, s * .8 * wide, .42), (-.2, s * .8 * wide, .42),
                  (-.3, s * .8 * wide, .8)], .025, 5) for s in (-1, 1)]
    legs += [tube([(-.2, s * .8 * wide, .42), (-.25, s * .8 * wide, 0)], .025, 5) for s in (-1, 1)]
    return [Part(m, 'wood', colour) for m in slats] + [Part(m, 'plain', (.12, .13, .13))
                                                       for m in legs]


STORAGE: tuple[Maker, ...] = (rack, rack, rack, pallet, pallet, boxes, boxes, drum, bin_, cone,
                              ladder, trolley)
LOOSE: tuple[Maker, ...] = (boxes, bin_, ladder, trolley)
STREET: tuple[Maker, ...] = (bin_, bin_, cone, cone, bench, boxes, pallet)

"""Dining and sitting rooms: tables with chairs around them, wing chairs, sideboards, rugs.

Crowded with furniture that hides other furniture, and seen by cameras held in a hand: what
recordings of homes show most.
"""

from __future__ import annotations

import math

import numpy as np

from dense_perception.world import clutter, furniture, nature
from dense_perception.world.builder import Area, SceneBuilder
from dense_perception.world.classes import GROUND
from dense_perception.world.indoors import Room, along_walls, build_shell, crowd, light
from dense_perception.world.parts import Maker, Part, Parts, one_of, placed, tint, wood_tint
from dense_perception.world.shapes import box, ellipsoid, lathe, tube


def candlestick(rng: np.random.Generator) -> Parts:
    """A candle on a stick or in a bowl."""
    tall, r = rng.uniform(.03, .3), rng.uniform(.03, .05)
    stick = lathe([(r, 0), (r, .01), (.012, .02), (.01, tall), (.02, tall + .005)], sides=8)
    candle = tube([(0, 0, tall), (0, 0, tall + rng.uniform(.05, .2))], .011, 6)
    return [Part(stick, 'plain', tint(rng, .2)), Part(candle, 'plain', (.95, .92, .84))]


def plate(rng: np.random.Generator) -> Parts:
    """A plate or a full bowl."""
    r, tall = rng.uniform(.07, .14), rng.choice([.02, .02, rng.uniform(.04, .09)])
    return [Part(lathe([(.5 * r, 0), (.8 * r, .3 * tall), (r, tall)], sides=14), 'plain',
                 tint(rng, .15, .5))]


TABLEWARE: tuple[Maker, ...] = (plate, plate, plate, candlestick, clutter.mug, clutter.mug,
                                clutter.vase, clutter.book, clutter.package)


def seats(lx: float, ly: float, rows: int) -> list[tuple[float, float, float]]:
    """Places (x, y, yaw) at a table of half sizes ``lx``, ``ly``, facing it.

    ``rows`` of them on each long side, one at each end.
    """
    sides = [(side * lx, (2 * i + 1 - rows) * ly / rows, math.pi * (side > 0))
             for side in (-1, 1) for i in range(rows)]
    return sides + [(0, side * ly, -side * math.pi / 2) for side in (-1, 1)]


def dining_set(rng: np.random.Generator) -> Parts:
    """A table with one to eight chairs of one kind at it, some pulled out, one at times turned."""
    lx, ly = rng.uniform(.38, .55), rng.uniform(.4, 1.1)
    height, round_top = rng.uniform(.71, .78), rng.random() < .2
    if round_top:
        lx = ly = rng.uniform(.4, .65)
    parts = furniture.bare_table(rng, lx, ly, height, furniture.look_of(rng, .85),
                                 rng.uniform(.012, .03), round_top)
    if rng.random() < .2:  # a runner or mats across the table
        parts.append(Part(box((rng.uniform(.12, .9) * lx, .7 * ly, .002), (0, 0, height)),
                          str(one_of(rng, ('fabric', 'print'))), tint(rng, .4)))
    inner = .65 if round_top else 1
    parts += clutter.strewn(rng, TABLEWARE, int(rng.integers(0, 9)), (inner * lx, inner * ly),
                            height)
    seat = furniture.chair(rng)
    for x, y, yaw in seats(lx, ly, 1 if round_top else max(1, round(ly / .38))):
        if rng.random() < .25:
            continue
        out, turned = rng.uniform(-.12, .35), rng.normal(0, .12)
        if out > .2 and rng.random() < .3:
            turned = rng.uniform(-1.5, 1.5)
        parts += placed(seat, (x - out * math.cos(yaw), y - out * math.sin(yaw), 0), yaw + turned)
    return parts


def wing_chair(rng: np.random.Generator) -> Parts:
    """Upholstered armchair with a high back and, mostly, wings; on short wooden legs."""
    half, deep = rng.uniform(.26, .34), rng.uniform(.26, .32)
    seat, back = rng.uniform(.4, .48), rng.uniform(.5, .8)
    cloth = str(one_of(rng, ('fabric', 'print'))), tint(rng, .3)
    arm = rng.uniform(.16, .26)
    meshes = [box((deep, half, .5 * (seat - .22)), (0, 0, .16 + .5 * (seat - .22))),
              ellipsoid((deep, .92 * half, .08), (.03, 0, seat - .03), 10, 5, 6),
              ellipsoid((.09, half + .02, .5 * back + .06), (0, 0, 0), 10, 6, rng.uniform(2.5, 6))
              .moved((-deep - .03, 0, seat + .5 * back), pitch=-.14)]
    for side in (-1, 1):
        meshes += [ellipsoid((deep + .02, .06, .5 * arm + .06), (.02, side * (half + .04),
                                                                seat - .06 + .5 * arm), 8, 5, 4),
                   tube([(-deep, side * (half + .05), seat + arm), (deep, side * (half + .05),
                                                                    seat + arm)], .055, 7)]
        if back > .6:
            meshes.append(ellipsoid((.13, .035, .28 * back), (0, 0, 0), 8, 5, 3).moved(
                (-deep + .08, side * (half + .03), seat + .68 * back), -side * .25, -.1))
    wood = wood_tint(rng)
    legs = [tube([(sx * (deep - .01), sy * (half - .03), 0),
                  (sx * (deep - .05), sy * (half - .03), .18)], .022, 6)
            for sx in (-1, 1) for sy in (-1, 1)]
    parts = [Part(m, *cloth) for m in meshes] + [Part(m, 'wood', wood) for m in legs]
    if rng.random() < .3:
        pillow = ellipsoid((.07, .18, .18), (0, 0, 0), 8, 5, 3.5)
        parts.append(Part(pillow.moved((-.1, 0, seat + .2), 0, -.3),
                          str(one_of(rng, ('fabric', 'print'))), tint(rng, .6)))
    return parts


def rug(rng: np.random.Generator) -> Parts:
    """A carpet on the floor: ground, a few millimetres high."""
    half = (rng.uniform(.5, 1.6), rng.uniform(.6, 2.0), .003)
    return [Part(box(half, (0, 0, .003)), str(one_of(rng, ('print', 'fabric', 'floor'))),
                 tint(rng, .5, .15), GROUND)]


SITTING: tuple[Maker, ...] = (wing_chair, wing_chair, furniture.sofa, furniture.floor_lamp,
                              furniture.chair, furniture.table)
AT_WALLS: tuple[Maker, ...] = (furniture.cabinet, furniture.cabinet, furniture.drawers,
                               furniture.drawers, furniture.shelf, furniture.sofa, wing_chair,
                               nature.plant, furniture.table)


def dining(b: SceneBuilder) -> Area:
    """A dining or sitting room, full of furniture."""
    rng = b.rng
    inside = Room(rng.uniform(2.0, 4.0), rng.uniform(2.0, 4.5), rng.uniform(2.3, 3.0),
                  str(one_of(rng, ('paint_wall', 'wall'))))
    x, y = inside.x, inside.y
    build_shell(b, inside)
    for _ in range(int(rng.integers(0, 3))):
        at = rng.uniform(-.5, .5, 2) * (x, y)
        b.add(placed(rug(rng), (*at, 0), rng.normal(0, .1) + rng.integers(2) * math.pi / 2))
    middle = (-.8 * x, -.8 * y, .8 * x, .8 * y)
    b.scatter((dining_set,), int(rng.integers(1, 3)), (-.5 * x, -.5 * y, .5 * x, .5 * y),
              float(rng.integers(2) * math.pi / 2))
    along_walls(b, inside, AT_WALLS, int(rng.integers(5, 12)))
    b.scatter(SITTING, int(rng.integers(2, 8)), middle)
    crowd(b, middle, 1)
    light(b, inside)
    return -x, -y, x, y

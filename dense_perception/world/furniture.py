"""Furniture at real sizes, with things in and on it."""

from __future__ import annotations

import math

import numpy as np

from dense_perception.world import clutter
from dense_perception.world.parts import (
    BLACK,
    STEEL,
    WHITE,
    Colour,
    Maker,
    Part,
    Parts,
    one_of,
    placed,
    tint,
    wood_tint,
)
from dense_perception.world.shapes import Mesh, box, ellipsoid, lathe, tube


def look_of(rng: np.random.Generator, wooden: float = 0.65) -> tuple[str, Colour]:
    """Material of a piece: wood, or painted."""
    if rng.random() < wooden:
        return 'wood', wood_tint(rng)
    return 'plain', one_of(rng, (WHITE, (.9, .9, .88), BLACK, (.5, .5, .5), tint(rng, .3)))


def _legs(rng: np.random.Generator, lx: float, ly: float, height: float) -> list[Mesh]:
    """Four legs, straight or splayed, round or square."""
    r, splay = rng.uniform(0.015, 0.035), rng.uniform(0, 0.06)
    legs = []
    for sx in (-1, 1):
        for sy in (-1, 1):
            top = np.array([sx * (lx - 0.06), sy * (ly - 0.06), height])
            legs.append(tube([(top[0] + sx * splay, top[1] + sy * splay, 0), top], r, 5)
                        if r < 0.025 or splay > 0.03 else
                        box((r, r, height / 2), (top[0], top[1], height / 2)))
    return legs


def table(rng: np.random.Generator, full: bool = False) -> Parts:
    """Table, desk, bench or coffee table; mostly with things on it, many where it is full."""
    lx, ly = rng.uniform(0.3, 0.5), rng.uniform(0.4, 1.0)
    height = rng.choice([rng.uniform(0.4, 0.5), rng.uniform(0.68, 0.78), rng.uniform(0.68, 0.78),
                         rng.uniform(0.85, 1.05)])
    look, thick = look_of(rng, 0.75), rng.uniform(0.012, 0.03)
    round_top = rng.random() < 0.2
    parts = bare_table(rng, lx, ly, height, look, thick, round_top)
    if round_top:
        lx = ly = 0.65 * ly
    if full or rng.random() < 0.75:
        makers = clutter.DESK if height > 0.6 else clutter.SMALL
        parts += clutter.strewn(rng, makers, int(rng.integers(1, 9)) + 5 * full, (lx, ly), height)
    return parts


def bare_table(rng: np.random.Generator, lx: float, ly: float, height: float,
               look: tuple[str, Colour], thick: float, round_top: bool) -> Parts:
    """Top and what it stands on: half sizes ``lx``, ``ly``; a round one has the radius ``ly``."""
    if round_top:
        return [Part(lathe([(ly, 0), (ly, 2 * thick)], (0, 0, height - 2 * thick), 16), *look),
                Part(lathe([(.3, 0), (.05, .05), (.04, height)]), 'plain', tint(rng, .1))]
    parts = [Part(box((lx, ly, thick), (0, 0, height - thick)), *look)]
    if rng.random() < 0.3:
        parts += [Part(box((0.9 * lx, 0.015, height / 2), (0, s * (ly - .05), height / 2)),
                       *look) for s in (-1, 1)]
        return [*parts, Part(box((.01, ly, .2), (-.7 * lx, 0, height - .25)), *look)]
    legs = look if rng.random() < 0.5 else ('plain', one_of(rng, (STEEL, BLACK, WHITE)))
    return parts + [Part(m, *legs) for m in _legs(rng, lx, ly, height - thick)]


def workplace(rng: np.random.Generator) -> Parts:
    """Desk with screens, keyboard, lamp and a chair in front of it."""
    lx, ly, height = rng.uniform(.35, .45), rng.uniform(.6, .9), rng.uniform(.7, .76)
    look = look_of(rng, 0.6)
    parts = [Part(box((lx, ly, .014), (0, 0, height - .014)), *look)]
    parts += [Part(m, 'plain', one_of(rng, (STEEL, BLACK, WHITE)))
              for m in _legs(rng, lx, ly, height - .02)]
    if rng.random() < 0.6:
        parts += placed(drawers(rng, 0.55), (-.05, (ly - .25) * rng.choice([-1, 1]), 0))
    for _ in range(int(rng.integers(1, 3))):
        parts += placed(clutter.monitor(rng), (-.22, rng.uniform(-.5, .5) * ly, height),
                        rng.normal(0, .2))
    parts += placed(clutter.keyboard(rng), (.12, rng.uniform(-.2, .2), height))
    parts += clutter.strewn(rng, clutter.SMALL, int(rng.integers(1, 7)), (lx, ly), height)
    if rng.random() < 0.7:
        seat = office_chair(rng) if rng.random() < .7 else chair(rng)
        parts += placed(seat, (rng.uniform(.4, .9), rng.uniform(-.3, .3), 0),
                        math.pi + rng.normal(0, .6))
    return parts


def chair(rng: np.random.Generator) -> Parts:
    """Chair or armchair with a slatted, solid or padded back."""
    seat, half, look = rng.uniform(.42, .5), rng.uniform(.19, .24), look_of(rng, .6)
    cloth = ('fabric', tint(rng, .35)) if rng.random() < .5 else look
    cushion = ellipsoid((half, half, .035), (0, 0, seat - .02), 8, 4, 5)
    back = rng.uniform(.3, .55)
    frame = _legs(rng, half + .03, half + .03, seat - .03)
    for s in (-1, 1):
        frame.append(tube([(-half + .02, s * (half - .02), seat - .05),
                           (-half - .07, s * (half - .02), seat + back)], .017, 5))
    parts = [Part(cushion, *cloth)] + [Part(m, *look) for m in frame]
    if rng.random() < .5:
        solid = ellipsoid((.025, half, back / 2.2), (0, 0, 0), 8, 6, 5)
        parts.append(Part(solid.moved((-half - .04, 0, seat + .6 * back), pitch=-.15), *cloth))
    else:
        rungs = [box((.012, half, .03), (-half - .02 - .05 * t, 0, seat + t * back))
                 for t in np.linspace(.3, .95, int(rng.integers(2, 5)))]
        parts += [Part(m, *look) for m in rungs]
    return parts


def office_chair(rng: np.random.Generator) -> Parts:
    """Swivel chair on five castors."""
    colour, seat = tint(rng, .25), rng.uniform(.44, .54)
    parts = [Part(ellipsoid((.24, .24, .05), (0, 0, seat), 10, 4, 4), 'fabric', colour),
             Part(ellipsoid((.04, .22, .3), (0, 0, 0), 8, 6, 4)
                  .moved((-.24, 0, seat + .38), pitch=-.12), 'fabric', colour),
             Part(tube([(0, 0, .08), (0, 0, seat)], .03), 'plain', BLACK),
             Part(tube([(0, 0, seat - .03), (-.26, 0, seat), (-.27, 0, seat + .3)], .02, 4),
                  'plain', BLACK)]
    for i in range(5):
        a = 1.2566 * i + .3
        end = (.28 * math.cos(a), .28 * math.sin(a))
        parts += [Part(tube([(0, 0, .11), (*end, .07)], .018, 4), 'plain', BLACK),
                  Part(ellipsoid((.03, .03, .03), (*end, .03), 6, 3), 'plain', BLACK)]
    return parts


def sofa(rng: np.random.Generator) -> Parts:
    """Sofa or armchair of soft blocks, with loose cushions."""
    width, deep, colour = rng.uniform(.45, 1.1), rng.uniform(.36, .46), tint(rng, .3)
    seats = max(1, round(width / .45))
    meshes = [box((deep, width, .13), (0, 0, .19)),
              *(box((.03, .03, .03), (sx * .8 * deep, sy * .9 * width, .03))
                for sx in (-1, 1) for sy in (-1, 1)),
              ellipsoid((.13, width, .3), (-deep, 0, .56), 10, 5, 6)]
    for i in range(seats):
        y = (2 * i + 1 - seats) * (width - .1) / seats
        meshes.append(ellipsoid((deep - .02, (width - .1) / seats, .1), (.05, y, .38), 10, 5, 6))
        meshes.append(ellipsoid((.1, (width - .1) / seats, .22), (0, 0, 0), 8, 5, 5)
                      .moved((-deep + .17, y, .6), pitch=-.2))
    meshes += [ellipsoid((deep + .05, .11, .27), (0, s * width, .33), 10, 5, 6) for s in (-1, 1)]
    parts = [Part(m, 'fabric', colour) for m in meshes]
    for _ in range(int(rng.integers(0, 4))):
        pillow = ellipsoid((.09, .21, .21), (0, 0, 0), 8, 5, 3.5).moved(
            (-.1, rng.uniform(-.8, .8) * width, .62), rng.normal(0, .3), -.4)
        parts.append(Part(pillow, str(one_of(rng, ('fabric', 'print'))), tint(rng, .6)))
    return parts


def bed(rng: np.random.Generator) -> Parts:
    """Bed with a mattress, duvet and pillows."""
    width, look = rng.uniform(.45, .9), look_of(rng)
    parts = [Part(box((1.02, width, .15), (0, 0, .17)), *look),
             Part(box((.03, width, rng.uniform(.35, .55)), (-1.03, 0, .5)), *look),
             Part(ellipsoid((1.0, width - .02, .13), (0, 0, .42), 12, 4, 8), 'fabric',
                  (.92, .91, .88)),
             Part(ellipsoid((.75, width + .05, .13), (.25, 0, .46), 14, 5, 6),
                  str(one_of(rng, ('fabric', 'print'))), tint(rng, .4, .3))]
    for y in np.linspace(-.5, .5, 1 + (width > .65)) * width if width > .65 else (0,):
        parts.append(Part(ellipsoid((.2, .32, .09), (-.75, y, .58), 8, 5, 4), 'fabric', WHITE))
    return parts


def shelf(rng: np.random.Generator) -> Parts:
    """Open shelf or bookcase, filled."""
    depth, width = rng.uniform(.13, .25), rng.uniform(.35, .9)
    height, levels = rng.uniform(.8, 2.2), int(rng.integers(2, 6))
    look = look_of(rng)
    parts = [Part(box((depth, .012, height / 2), (0, s * width, height / 2)), *look)
             for s in (-1, 1)]
    if rng.random() < .6:
        parts.append(Part(box((.006, width, height / 2), (-depth, 0, height / 2)), *look))
    gap = (height - .06) / levels
    for level in range(levels + 1):
        z = .05 + level * gap
        parts.append(Part(box((depth, width, .011), (0, 0, z - .011)), *look))
        if level == levels and rng.random() < .5:
            continue
        content = rng.random()
        if content < .4 and gap > .2 and level < levels:
            parts += placed(clutter.book_row(rng, rng.uniform(.3, .95) * width, .8 * depth,
                                             (gap - .04) / 2), (0, 0, z))
        elif content < .85:
            parts += clutter.strewn(rng, clutter.SMALL, int(rng.integers(1, 6)),
                                    (.8 * depth, .9 * width), z)
    return parts


def cabinet(rng: np.random.Generator) -> Parts:
    """Cupboard, wardrobe, fridge or machine, with doors and handles."""
    half = np.array([rng.uniform(.18, .35), rng.uniform(.25, .7),
                     one_of(rng, (rng.uniform(.35, .5), rng.uniform(.8, 1.05)))])
    look = look_of(rng, .5)
    parts = [Part(box(half, (0, 0, half[2])), *look)]
    columns, rows = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    for i in range(columns):
        for j in range(rows):
            y = (2 * i + 1 - columns) * half[1] / columns
            z = (2 * j + 1) * half[2] / rows
            face = (.009, .96 * half[1] / columns - .004, .98 * half[2] / rows - .006)
            parts.append(Part(box(face, (half[0], y, z)), *look))
            grip = (.012, .008, .06) if rng.random() < .5 else (.012, .05, .008)
            parts.append(Part(box(grip, (half[0] + .02, y + .6 * face[1], z)), 'plain', STEEL))
    if half[2] < .6:
        parts += clutter.strewn(rng, clutter.DESK, int(rng.integers(0, 6)),
                                (half[0], half[1]), 2 * half[2])
    return parts


def drawers(rng: np.random.Generator, height: float | None = None) -> Parts:
    """Chest of drawers."""
    tall = height or rng.uniform(.45, 1.2)
    half, look = (rng.uniform(.2, .25), rng.uniform(.2, .5) if height is None else .2, tall / 2), \
        look_of(rng)
    rows = max(2, round(tall / .25))
    parts = [Part(box(half, (0, 0, half[2])), *look)]
    for row in range(rows):
        z = (row + .5) * tall / rows
        face = (.008, half[1] - .015, tall / rows / 2 - .008)
        parts += [Part(box(face, (half[0], 0, z)), *look),
                  Part(box((.012, .06, .008), (half[0] + .02, 0, z)), 'plain', STEEL)]
    if height is None:
        parts += clutter.strewn(rng, clutter.SMALL, int(rng.integers(0, 5)), half[:2], tall)
    return parts


def floor_lamp(rng: np.random.Generator) -> Parts:
    """Lamp on a thin stand, or a coat stand."""
    tall, r = rng.uniform(1.3, 1.8), rng.uniform(.12, .22)
    parts = [Part(lathe([(.15, 0), (.14, .03), (.013, .04), (.012, tall)]), 'plain',
                  one_of(rng, (STEEL, BLACK, (.6, .5, .3))))]
    if rng.random() < .7:
        return [*parts, Part(lathe([(r, tall - .28), (.7 * r, tall)], sides=12), 'fabric',
                             (1, .95, .82))]
    for _ in range(int(rng.integers(1, 4))):
        coat = ellipsoid((.1, .17, rng.uniform(.3, .45)), (0, 0, 0), 8, 6, 2.5)
        yaw = rng.uniform(-3, 3)
        parts.append(Part(coat.moved((.13 * math.cos(yaw), .13 * math.sin(yaw), tall - .45), yaw),
                          'fabric', tint(rng, .35)))
    return parts


def radiator(rng: np.random.Generator) -> Parts:
    """Ribbed radiator."""
    wide, tall = rng.uniform(.3, .8), rng.uniform(.25, .35)
    ribs = [box((.04, .022, tall), (0, y, .12 + tall)) for y in np.arange(-wide, wide, .06)]
    return [Part(m, 'plain', (.93, .92, .88)) for m in ribs]


def board(rng: np.random.Generator) -> Parts:
    """Whiteboard, flip chart or partition on feet."""
    wide, tall = rng.uniform(.4, .9), rng.uniform(.4, .7)
    what = str(one_of(rng, ('paper', 'poster', 'fabric')))
    parts = [Part(box((.015, wide, tall), (0, 0, 1.75 - tall), what != 'fabric'), what,
                  WHITE if what != 'fabric' else tint(rng))]
    parts += [Part(m, 'plain', STEEL) for s in (-1, 1) for m in
              (tube([(0, s * wide, .03), (0, s * wide, 1.7)], .02, 5),
               box((.3, .025, .02), (0, s * wide, .02)))]
    return parts


INDOOR: tuple[Maker, ...] = (table, table, chair, chair, sofa, shelf, shelf, cabinet, drawers,
                             floor_lamp)
HOME: tuple[Maker, ...] = (*INDOOR, sofa, bed, chair)
OFFICE: tuple[Maker, ...] = (workplace, workplace, workplace, shelf, cabinet, office_chair,
                             drawers, board, table)

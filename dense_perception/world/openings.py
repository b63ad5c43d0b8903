"""What fills the holes in a wall: doors, open doors, windows with curtains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dense_perception.world.classes import WALL
from dense_perception.world.furniture import radiator
from dense_perception.world.parts import STEEL, WHITE, Colour, Part, Parts, one_of, placed, tint
from dense_perception.world.shapes import Mesh, box, quad, tube

_DEEP = .13  # thickness of walls


@dataclass(frozen=True)
class Opening:
    """A hole in a wall: ``kind`` doorway | door | window, centre and half width along it."""

    kind: str
    at: float
    half: float
    low: float
    high: float


def filled(o: Opening, rng: np.random.Generator) -> Parts:
    """Jambs and what closes an opening; the wall is at y = 0, the room at y < 0."""
    x0, x1, wide, tall = o.at - o.half, o.at + o.half, 2 * o.half, o.high - o.low
    colour = one_of(rng, (WHITE, WHITE, (.55, .42, .3), (.25, .25, .26), tint(rng, .3)))
    jambs = [quad((x0, 0, o.low), (0, _DEEP, 0), (0, 0, tall)),
             quad((x1, _DEEP, o.low), (0, -_DEEP, 0), (0, 0, tall)),
             quad((x0, _DEEP, o.high), (wide, 0, 0), (0, -_DEEP, 0))]
    if o.low > 0:
        jambs.append(box((o.half + .04, .12, .015), (o.at, .03, o.low)))
    frame = [box((.035, .02, tall / 2), (x, -.005, o.low + tall / 2)) for x in (x0, x1)]
    frame.append(box((o.half + .035, .02, .035), (o.at, -.005, o.high)))
    parts = [Part(m, 'plain', colour, WALL) for m in jambs + frame]
    if o.kind == 'window':
        return parts + _window(o, colour, rng)
    if o.kind == 'door':
        return parts + placed(_leaf(wide, tall, rng), (x0, .04, 0))
    if rng.random() < .4:
        return parts + placed(_leaf(wide, tall, rng), (x0 + .03, .05, 0), rng.uniform(.9, 1.7))
    return parts


def _leaf(wide: float, tall: float, rng: np.random.Generator) -> Parts:
    """A door hinged at x = 0, with panels or a pane, and handles on both sides."""
    look = one_of(rng, (('wood', WHITE), ('wood', (.8, .75, .7)), ('plain', WHITE),
                        ('plain', tint(rng, .3))))
    parts = [Part(box((wide / 2, .02, tall / 2), (wide / 2, 0, tall / 2)), *look, WALL)]
    for s in (-1, 1):
        if look[0] == 'plain' or rng.random() < .5:
            for z, h in ((.28, .2), (.7, .22)):
                panel = box((.33 * wide, .004, h * tall), (wide / 2, s * .021, z * tall))
                parts.append(Part(panel, *look, WALL))
        handle = tube([(wide - .06, s * .02, 1.03), (wide - .06, s * .07, 1.03),
                       (wide - .18, s * .07, 1.03)], .01, 5)
        parts.append(Part(handle, 'plain', STEEL, WALL))
    if rng.random() < .25:
        pane = box((.3 * wide, .027, .2 * tall), (wide / 2, 0, .7 * tall))
        parts.append(Part(pane, 'plain', (.55, .62, .65), WALL))
    return parts


def _window(o: Opening, colour: Colour, rng: np.random.Generator) -> Parts:
    wide, tall, z = 2 * o.half, o.high - o.low, (o.low + o.high) / 2
    night = rng.random() < .2
    pane = quad((o.at - o.half, _DEEP - .02, o.low), (wide, 0, 0), (0, 0, tall), unit=True)
    parts = [Part(pane, 'plain', (.03, .04, .07), WALL) if night else
             Part(pane, 'outside', WHITE, WALL)]
    bars: list[Mesh] = [box((.025, .02, tall / 2), (x, _DEEP - .03, z))
                        for x in np.linspace(o.at - o.half, o.at + o.half,
                                             2 + int(rng.integers(1, 3)))]
    bars += [box((o.half, .02, .03), (o.at, _DEEP - .03, h)) for h in (o.low + .03, o.high - .03)]
    parts += [Part(m, 'plain', colour, WALL) for m in bars]
    kind = rng.random()
    if kind < .45:
        parts += _curtains(o, rng)
    elif kind < .65:
        drop = rng.uniform(.2, 1) * tall
        slats = [box((o.half, .02, .008), (o.at, .03, h)).moved() for h in
                 np.arange(o.high - drop, o.high, .06)]
        parts += [Part(m, 'plain', WHITE, WALL) for m in slats]
    if o.low > .75 and rng.random() < .5:
        parts += placed(radiator(rng), (o.at, -.08, 0), -np.pi / 2)
    return parts


def _curtains(o: Opening, rng: np.random.Generator) -> Parts:
    """Two curtains in folds on a rod."""
    low = rng.choice([.05, max(o.low - .15, .05)])
    colour, texture = tint(rng, .35, .2), str(one_of(rng, ('knit', 'print', 'fabric')))
    parts = [Part(tube([(o.at - o.half - .3, -.09, o.high + .1),
                        (o.at + o.half + .3, -.09, o.high + .1)], .014, 5), 'plain', STEEL, WALL)]
    for s in (-1, 1):
        width = rng.uniform(.25, .8) * o.half
        for i in range(max(2, round(width / .11))):
            x = o.at + s * (o.half + .15 - .11 * i)
            fold = tube([(x, -.09 - .02 * (i % 2), low), (x, -.09, o.high + .1)], .065, 6)
            parts.append(Part(fold, texture, colour, WALL))
    return parts



"""Pillars, lamp posts, signs, bollards: what a robot must not drive into."""

from __future__ import annotations

import numpy as np

from dense_perception.world.classes import POLE
from dense_perception.world.parts import STEEL, WHITE, Colour, Maker, Part, Parts, one_of, tint
from dense_perception.world.shapes import box, lathe, loft, tube


def pillar(rng: np.random.Generator, height: float | None = None) -> Parts:
    """Square or round column up to the ceiling."""
    half, tall = rng.uniform(.1, .3), height or rng.uniform(2.4, 5)
    look = str(one_of(rng, ('paint_wall', 'concrete', 'brick')))
    if rng.random() < .5:
        parts = [Part(box((half, half, tall / 2), (0, 0, tall / 2)), look, WHITE, POLE)]
    else:
        parts = [Part(lathe([(half, 0), (half, tall)], sides=14), look, WHITE, POLE)]
    if rng.random() < .25:
        parts.append(Part(box((half + .01, half + .01, .45), (0, 0, .45)), 'hazard', WHITE, POLE))
    return parts


def bollard(rng: np.random.Generator) -> Parts:
    """Bollard with a ring, or a chain post."""
    r, h = rng.uniform(.04, .12), rng.uniform(.6, 1.15)
    colour = one_of(rng, ((.9, .75, .1), (.2, .2, .2), STEEL, tint(rng, .4)))
    return [Part(lathe([(r, 0), (r, .9 * h), (.5 * r, h)]), 'plain', colour, POLE),
            Part(lathe([(1.04 * r, .7 * h), (1.04 * r, .8 * h)]), 'plain', WHITE, POLE)]


def _mast(rng: np.random.Generator, low: float, high: float) -> tuple[Parts, float, Colour]:
    h, r = rng.uniform(low, high), rng.uniform(.035, .1)
    colour = one_of(rng, (STEEL, (.25, .27, .26), (.12, .13, .13), (.6, .6, .58)))
    return [Part(lathe([(1.3 * r, 0), (r, .3), (.75 * r, h)]), 'plain', colour, POLE)], h, colour


def lamp_post(rng: np.random.Generator) -> Parts:
    """Street lamp with an arm or a globe."""
    parts, h, colour = _mast(rng, 3.0, 7.0)
    if rng.random() < .5:
        arm = tube([(0, 0, h - .1), (.3, 0, h + .2), (1.1, 0, h + .25)], .04, 5)
        return [*parts, Part(arm, 'plain', colour, POLE),
                Part(box((.3, .1, .05), (1.2, 0, h + .22)), 'plain', colour, POLE)]
    return [*parts, Part(lathe([(.08, h), (.22, h + .25), (.15, h + .5), (.02, h + .55)]), 'plain',
                         (1, .98, .9), POLE)]


def sign(rng: np.random.Generator) -> Parts:
    """Traffic sign or traffic light on a mast."""
    parts, h, _ = _mast(rng, 2.0, 3.4)
    z = h - .35
    if rng.random() < .3:
        lights = ((.8, .1, .1), (.8, .6, .1), (.1, .7, .3))
        parts.append(Part(box((.1, .13, .42), (.12, 0, z)), 'plain', (.08, .08, .08), POLE))
        return parts + [Part(lathe([(.09, 0), (.09, .03)]).moved((.21, 0, z + .27 * (1 - i)),
                                                                pitch=np.pi / 2), 'plain', c, POLE)
                        for i, c in enumerate(lights)]
    r = rng.uniform(.25, .4)
    sides = int(one_of(rng, (3, 4, 8, 16, 16)))
    disc = loft([(.05, 0, z), (.07, 0, z)], [r, r], sides, fixed=(1, 0, 0))
    inner = loft([(.07, 0, z), (.075, 0, z)], [.78 * r] * 2, sides, fixed=(1, 0, 0))
    return [*parts, Part(disc, 'plain', one_of(rng, ((.75, .1, .1), (.1, .25, .6), WHITE)), POLE),
            Part(inner, 'plain', one_of(rng, (WHITE, WHITE, (.1, .25, .6), (.95, .8, .1))), POLE)]


OUTDOOR: tuple[Maker, ...] = (lamp_post, sign, bollard, bollard, sign)

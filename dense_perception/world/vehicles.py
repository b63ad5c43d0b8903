"""Vehicles: cars, vans, trucks, fork lifts, transport robots, bicycles. Forward is x."""

from __future__ import annotations

import math

import numpy as np

from dense_perception.world.classes import VEHICLE
from dense_perception.world.parts import BLACK, STEEL, WHITE, Colour, Part, Parts, one_of, tint
from dense_perception.world.shapes import Mesh, box, ellipsoid, lathe, loft, tube

_GLASS: Colour = (.12, .14, .17)
_TYRE: Colour = (.07, .07, .07)


def _hull(stations: list[tuple[float, float, float, float]], power: float = 6.0) -> Mesh:
    """A body through cross-sections: x, lower z, upper z, half width."""
    rows = np.array(stations)
    centres = np.stack([rows[:, 0], 0 * rows[:, 0], (rows[:, 1] + rows[:, 2]) / 2], 1)
    size = np.stack([rows[:, 3], (rows[:, 2] - rows[:, 1]) / 2], 1)
    return loft(centres, size, 14, power, fixed=(1, 0, 0))


def _wheels(xs: tuple[float, ...], y: float, r: float, thick: float = .1) -> Parts:
    parts = []
    for x in xs:
        for s in (-1, 1):
            parts += [Part(lathe([(.9 * r, -thick), (r, -.7 * thick), (r, .7 * thick),
                                  (.9 * r, thick)], sides=14).moved((x, s * y, r),
                                                                    roll=math.pi / 2),
                           'plain', _TYRE, VEHICLE),
                      Part(lathe([(.6 * r, -thick - .01), (.6 * r, thick + .01)], sides=8)
                           .moved((x, s * y, r), roll=math.pi / 2), 'plain', STEEL, VEHICLE)]
    return parts


def _parts(meshes: list[Mesh], colour: Colour, texture: str = 'paint') -> Parts:
    return [Part(m, texture, colour, VEHICLE) for m in meshes]


def _paint(rng: np.random.Generator) -> Colour:
    return tint(rng, .4)


def car(rng: np.random.Generator) -> Parts:
    """Saloon, estate, hatchback or off-roader."""
    length, w = rng.uniform(1.85, 2.4), rng.uniform(.82, .95)
    lift, belt = rng.uniform(.18, .3), rng.uniform(.85, 1.0)
    roof, r = belt + rng.uniform(.48, .62), rng.uniform(.29, .36)
    nose, paint = belt - rng.uniform(.08, .25), _paint(rng)
    rear = rng.choice(['saloon', 'estate', 'hatch'])
    tail = {'saloon': -.55, 'estate': -.93, 'hatch': -.82}[rear] * length
    body = _hull([(-length, lift + .2, belt - .1, .8 * w), (-.95 * length, lift, belt, .96 * w),
                  (-.4 * length, lift, belt, w), (.4 * length, lift, belt - .02, w),
                  (.85 * length, lift, nose, .95 * w), (.97 * length, lift + .05, nose - .1,
                                                        .85 * w),
                  (length, lift + .12, nose - .2, .75 * w)])
    front = rng.uniform(.3, .42) * length
    glass = _hull([(tail, belt - .05, belt, .85 * w),
                   (tail + (.4 if rear != 'saloon' else .6), belt - .05, roof - .03, .78 * w),
                   (-.05 * length, belt - .05, roof, .8 * w),
                   (front - .7, belt - .05, roof - .06, .77 * w),
                   (front, belt - .05, belt, .86 * w)], 5)
    top = _hull([(tail + (.35 if rear != 'saloon' else .55), roof - .06, roof - .01, .7 * w),
                 (-.05 * length, roof - .05, roof + .025, .74 * w),
                 (front - .65, roof - .1, roof - .03, .7 * w)], 4)
    pillars = [tube([(x0, s * .87 * w, belt - .02), (x1, s * .77 * w, roof - .02)], .035, 4)
               for s in (-1, 1) for x0, x1 in ((front - .05, front - .7),
                                               (-.08 * length, -.1 * length),
                                               (tail + .05, tail + .42))]
    parts = _parts([body, top, *pillars], paint) + _parts([glass], _GLASS)
    for s in (-1, 1):
        lights = [(box((.03, .15, .055), (.965 * length, s * .62 * w, nose - .15)), WHITE),
                  (box((.03, .1, .09), (-.975 * length, s * .7 * w, belt - .2)), (.65, .05, .05)),
                  (ellipsoid((.05, .09, .06), (front - .15, s * (w + .07), belt + .03), 6, 4),
                   paint),
                  (box((.55, .006, .01), (.1, s * (w + .001), belt - .18)), BLACK)]
        parts += [Part(m, 'plain', c, VEHICLE) for m, c in lights]
    parts += _parts([box((.02, .26, .055), (s * .985 * length, 0, .5)) for s in (-1, 1)], WHITE,
                    'plain')
    return parts + _wheels((-.62 * length, .62 * length), w - .08, r)


def van(rng: np.random.Generator) -> Parts:
    """Delivery van, bus or box truck."""
    length, w, tall = rng.uniform(2.2, 3.6), rng.uniform(.9, 1.15), rng.uniform(1.9, 2.9)
    paint, r = (.93, .93, .92) if rng.random() < .4 else _paint(rng), rng.uniform(.33, .45)
    boxy = rng.random() < .4
    hood = rng.uniform(1.0, 1.3)
    body = _hull([(-length, .35, tall, .97 * w), (.5 * length, .3, tall, w),
                  (.68 * length, .3, tall - .1, .97 * w), (.85 * length, .3, hood + .1, .95 * w),
                  (length, .32, hood - .25, .88 * w)], 10)
    screen = _hull([(.66 * length, hood + .15, tall - .15, .85 * w),
                    (.845 * length, hood + .12, hood + .25, .87 * w)], 8).moved((.045, 0, .03))
    parts = _parts([body], paint) + _parts([screen], _GLASS)
    parts += _parts([box((.12 * length, .01, .25), (.5 * length, s * (w + .003), tall - .55))
                     for s in (-1, 1)], _GLASS)
    if boxy:
        side = box((.68 * length, w + .03, (tall - .6) / 2), (-.32 * length, 0, .62 + (tall - .6)
                                                              / 2), True)
        parts.append(Part(side, 'packaging' if rng.random() < .5 else 'paint', WHITE, VEHICLE))
    elif rng.random() < .4:
        parts += _parts([box((.07 * length, w + .008, .3), (x * length, 0, tall - .6))
                         for x in (-.8, -.6, -.4, -.2, 0, .2)], _GLASS)
    parts += _parts([box((.02, .1, .07), (.985 * length, s * .65 * w, hood - .4))
                     for s in (-1, 1)], WHITE, 'plain')
    parts += _parts([box((.02, .06, .13), (-length, s * .85 * w, 1.0)) for s in (-1, 1)],
                    (.6, .05, .05), 'plain')
    return parts + _wheels((-.6 * length, .62 * length), w - .1, r, .12)


def forklift(rng: np.random.Generator) -> Parts:
    """Fork lift truck with a mast, forks and an overhead guard."""
    lx, w = rng.uniform(.7, 1.0), rng.uniform(.45, .6)
    paint = one_of(rng, ((.95, .65, .08), (.85, .3, .08), tint(rng, .5)))
    z = rng.uniform(.1, .9)
    meshes = [_hull([(-lx, .25, 1.05, .9 * w), (-.2 * lx, .2, .95, w), (.6 * lx, .2, .6, w),
                     (lx, .2, .55, .9 * w)], 5)]
    steel = [box((.04, .05, .95), (lx + .08, s * .6 * w, 1.0)) for s in (-1, 1)]
    steel += [box((.5, .06, .02), (lx + .6, s * .28, z)) for s in (-1, 1)]
    steel += [box((.03, .8 * w, .2), (lx + .14, 0, z + .25)),
              box((.55 * lx, .85 * w, .03), (-.1, 0, 2.05))]
    steel += [tube([(x, s * .8 * w, .9), (.8 * x, s * .8 * w, 2.05)], .03, 4)
              for x in (-.6 * lx, .5 * lx) for s in (-1, 1)]
    return (_parts(meshes, paint) + _parts(steel, (.16, .16, .17), 'plain')
            + _wheels((-.6 * lx, .65 * lx), w, .24))


def carrier(rng: np.random.Generator) -> Parts:
    """Low transport robot or ride-on sweeper."""
    lx, w, h = rng.uniform(.35, .7), rng.uniform(.25, .45), rng.uniform(.2, .5)
    body = ellipsoid((lx, w, h / 2), (0, 0, .06 + h / 2), 14, 6, 6)
    band = ellipsoid((1.01 * lx, 1.01 * w, .03), (0, 0, .12 + .3 * h), 14, 4, 6)
    top = lathe([(.06, .06 + h), (.06, .14 + h)])
    return (_parts([body], _paint(rng)) + _parts([band], one_of(rng, (_TYRE, (.9, .8, .1))))
            + _parts([top], _TYRE, 'plain') + _wheels((-.5 * lx, .5 * lx), .9 * w, .09, .03))


def bicycle(rng: np.random.Generator) -> Parts:
    """Bicycle, or a small motor scooter."""
    colour = tint(rng, .6)
    r, half = rng.uniform(.3, .36), .52
    ring = np.linspace(0, 2 * math.pi, 13)
    meshes = []
    for x in (-half, half):
        circle = np.stack([x + r * np.cos(ring), 0 * ring, r + r * np.sin(ring)], 1)
        meshes.append(loft(circle, np.full(13, .018), 4, across=(0, 1, 0)))
        meshes += [tube([(x + .95 * r * math.cos(a), 0, r + .95 * r * math.sin(a)),
                         (x - .95 * r * math.cos(a), 0, r - .95 * r * math.sin(a))], .004, 3)
                   for a in (.3, 1.35, 2.4)]
    parts = _parts(meshes, _TYRE, 'plain')
    crank, seat, head = (-.08, 0, .29), (-.2, 0, .85), (.38, 0, .82)
    frame = [tube(p, .02, 5) for p in ((crank, seat), (crank, head), (seat, head),
                                       ((-half, 0, r), seat), ((-half, 0, r), crank),
                                       ((half, 0, r), head, (.34, 0, 1.0)))]
    if rng.random() < .35:
        shell = [_hull([(-.7, .45, .8, .14), (-.1, .45, .78, .15), (0, .25, .35, .15),
                        (.3, .25, .35, .15), (.4, .25, 1.0, .16), (.48, .4, 1.0, .08)], 4)]
        frame += shell
    dark = [tube([(.34, -.28, 1.02), (.34, .28, 1.02)], .016, 5),
            ellipsoid((.13, .07, .04), (-.22, 0, .9), 8, 4)]
    return parts + _parts(frame, colour) + _parts(dark, BLACK, 'plain')


def vehicle(rng: np.random.Generator) -> Parts:
    """Anything on a road."""
    return one_of(rng, (car, car, car, car, van, van, bicycle))(rng)


def hall_vehicle(rng: np.random.Generator) -> Parts:
    """Anything in a hall or a yard."""
    return one_of(rng, (forklift, forklift, carrier, van, car, bicycle))(rng)

"""Rooms, offices, corridors and halls: walls with openings, what is behind and inside."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from dense_perception.world import clutter, furniture, goods, nature, people, poles, vehicles
from dense_perception.world.builder import Area, SceneBuilder
from dense_perception.world.classes import CEILING, GROUND, WALL
from dense_perception.world.openings import Opening, filled
from dense_perception.world.parts import (
    WHITE,
    Part,
    Parts,
    extent,
    one_of,
    placed,
    placed_point,
    tint,
)
from dense_perception.world.shapes import box, quad, tube
from dense_perception.world.stairs import stairs


@dataclass(frozen=True)
class Room:
    """Inside of [-x, x] x [-y, y], ``height`` high; ``wall`` and ``floor`` are textures."""

    x: float
    y: float
    height: float
    wall: str = 'wall'
    floor: str = 'floor'

    def side(self, k: int) -> tuple[float, float, float, float]:
        """Corner, direction (yaw) and length of wall ``k``, which has the room on its right."""
        x, y = self.x, self.y
        cx, cy = ((-x, y), (-x, -y), (x, -y), (x, y))[k]
        return cx, cy, k * math.pi / 2, 2 * (x if k % 2 == 0 else y)


def build_shell(b: SceneBuilder, room: Room) -> None:
    """Floor, ceiling and four walls with doors, doorways, windows and things on them."""
    b.plane(room.floor, GROUND, (0, 0, 0), (room.x, room.y))
    ceiling = quad((-room.x, room.y, room.height), (2 * room.x, 0, 0), (0, -2 * room.y, 0), 2.0)
    b.add([Part(ceiling, 'ceiling', WHITE, CEILING)])
    one_paint = b.rng.random() < .7
    colour = tint(b.rng, .3, .3) if b.rng.random() < .12 else WHITE
    paint, accent = room.wall, int(b.rng.integers(4))
    for k in range(4):
        cx, cy, yaw, length = room.side(k)
        openings = _openings(b.rng, length, room.height)
        parts = _wall(b.rng, length, room.height, openings,
                      paint if one_paint or k != accent else 'wall', colour)
        for opening in openings:
            parts += filled(opening, b.rng)
        parts += _hangings(b.rng, length, room.height, openings)
        b.add(placed(parts, (cx, cy, 0), yaw))
        for opening in openings:
            if opening.kind == 'doorway':
                _annex(b, room, k, opening)


def _openings(rng: np.random.Generator, length: float, height: float) -> list[Opening]:
    """Doors, doorways and windows side by side in a wall."""
    found: list[Opening] = []
    at = rng.uniform(.2, 2.5)
    while at < length - .8:
        kind = str(rng.choice(['doorway', 'door', 'window', 'window', 'none', 'none']))
        half = rng.uniform(.4, .55) if kind == 'door' else rng.uniform(.4, 1.0)
        low, high = ((0.0, min(rng.uniform(2.0, 2.2), height - .05)) if kind != 'window' else
                     (rng.uniform(.3, 1.1), min(rng.uniform(1.9, 2.4), height - .15)))
        if at + 2 * half > length - .15:
            break
        if kind != 'none':
            found.append(Opening(kind, at + half, half, low, high))
        at += 2 * half + rng.uniform(.3, 2.5)
    return found


def _wall(rng: np.random.Generator, length: float, height: float, openings: list[Opening],
          texture: str, colour: tuple[float, float, float]) -> Parts:
    """Wall from x = 0 to ``length`` seen from y < 0, with holes, and a skirting board."""
    parts: Parts = []

    def piece(x0: float, x1: float, z0: float, z1: float) -> None:
        if x1 - x0 > 1e-3 and z1 - z0 > 1e-3:
            parts.append(Part(quad((x0, 0, z0), (x1 - x0, 0, 0), (0, 0, z1 - z0), 1.4), texture,
                              colour, WALL))
            if z0 == 0 and skirting:
                parts.append(Part(box(((x1 - x0) / 2, .008, .04), ((x0 + x1) / 2, -.006, .04)),
                                  'wood', skirting, WALL))

    skirting = one_of(rng, (WHITE, (.5, .4, .3), (.2, .2, .2), None))
    at = 0.0
    for o in openings:
        piece(at, o.at - o.half, 0, height)
        piece(o.at - o.half, o.at + o.half, 0, o.low)
        piece(o.at - o.half, o.at + o.half, o.high, height)
        at = o.at + o.half
    piece(at, length, 0, height)
    return parts


def _hangings(rng: np.random.Generator, length: float, height: float, openings: list[Opening],
              ) -> Parts:
    """Pictures, boards, shelves, clocks, switches and pipes on a wall."""
    parts: Parts = []
    for _ in range(int(rng.integers(0, 2 + math.ceil(length)))):
        half_w, half_h = rng.uniform(.12, .6), rng.uniform(.12, .45)
        at, z = rng.uniform(.1, length - .1), rng.uniform(1.2, 1.8)
        if any(abs(at - o.at) < o.half + half_w + .05 for o in openings) or z + half_h > height:
            continue
        if rng.random() < .75:
            picture = [replace(p, label=WALL) for p in clutter.painting(rng, half_w, half_h)]
            parts += placed(picture, (at, 0, z), -math.pi / 2)
        elif rng.random() < .7:
            plank = [Part(box((.1, half_w, .012), (.1, 0, 0)), 'wood', WHITE)]
            plank += placed(clutter.book_row(rng, .9 * half_w, .08, .13) if rng.random() < .5 else
                            clutter.strewn(rng, clutter.SMALL, 3, (.08, half_w), 0.0),
                            (.1, 0, .012))
            parts += placed(plank, (at, 0, z), -math.pi / 2)
    if rng.random() < .2:
        z = rng.uniform(.1, height - .1)
        parts.append(Part(tube([(0, -.05, z), (length, -.05, z)], rng.uniform(.015, .06)), 'plain',
                          tint(rng, .3), WALL))
    return parts


def _annex(b: SceneBuilder, room: Room, k: int, opening: Opening) -> None:
    """The room behind a doorway: shell and a few things."""
    rng = b.rng
    cx, cy, yaw, length = room.side(k)
    x0 = max(0.0, opening.at - rng.uniform(.6, 2.0))
    x1 = min(length, opening.at + rng.uniform(.6, 2.0))
    near, far, high = .13, rng.uniform(1.5, 5.0), room.height
    wall, colour = 'wall', WHITE if rng.random() < .8 else tint(rng, .3, .3)
    quads = [((x0, far, 0), (x1 - x0, 0, 0), (0, 0, high)),
             ((x0, near, 0), (0, far - near, 0), (0, 0, high)),
             ((x1, far, 0), (0, near - far, 0), (0, 0, high))]
    parts = [Part(quad(*q), wall, colour, WALL) for q in quads]
    parts.append(Part(quad((x0, 0, 0), (x1 - x0, 0, 0), (0, far, 0)), room.floor, WHITE, GROUND))
    parts.append(Part(quad((x0, far, high), (x1 - x0, 0, 0), (0, near - far, 0)), 'ceiling', WHITE,
                      CEILING))
    b.add(placed(parts, (cx, cy, 0), yaw))
    makers = (*furniture.INDOOR, nature.plant, people.person, *goods.LOOSE)
    for _ in range(int(rng.integers(1, 4))):
        u, v = rng.uniform(x0 + .3, x1 - .3), rng.uniform(max(far - 1.2, .8), far - .3)
        thing = b.instead(one_of(rng, makers)(rng))
        size = extent(thing)
        x, y = placed_point(u, v, cx, cy, yaw)
        if v - near > size[1, 0] and far - v > -size[0, 0] and b.fits(
                thing, x, y, yaw - math.pi / 2):
            b.place(thing, x, y, yaw - math.pi / 2)
    u, v = (x0 + x1) / 2, (near + far) / 2
    level = rng.uniform(0, .7)
    b.lamp((*placed_point(u, v, cx, cy, yaw), high - .1), [level] * 3, False, fade=.1)


def along_walls(b: SceneBuilder, room: Room, makers: tuple, count: int) -> None:
    """Furniture with its back to a wall."""
    for _ in range(count):
        parts = b.instead(one_of(b.rng, makers)(b.rng))
        k = int(b.rng.integers(4))
        cx, cy, yaw, length = room.side(k)
        (back, left, _), (_, right, _) = extent(parts)
        if right - left > length - .2:
            continue
        for _ in range(4):
            u = b.rng.uniform(right, length + left)
            v = back - b.rng.uniform(.02, .12)
            x, y = placed_point(u, v, cx, cy, yaw)
            if b.fits(parts, x, y, yaw - math.pi / 2):
                b.place(parts, x, y, yaw - math.pi / 2 + b.rng.normal(0, .02))
                break


def light(b: SceneBuilder, room: Room) -> None:
    """Lamps under the ceiling, of which one throws shadows; or dusk, or a single lamp."""
    rng = b.rng
    level = rng.uniform(.35, 1.0)
    warm = np.array([1.0, rng.uniform(.82, 1.0), rng.uniform(.6, 1.05)])
    b.ambient(level * rng.uniform(.2, .6) * (.5 + .5 * warm))
    lamps = int(rng.integers(1, 4))
    for lamp in range(lamps):
        x, y = rng.uniform(-room.x, room.x) * .7, rng.uniform(-room.y, room.y) * .7
        low = rng.random() < .15
        z = rng.uniform(.8, 1.6) if low else room.height - .06
        b.lamp((x, y, z), level * warm / lamps ** .5 * rng.uniform(.5, 1.2), lamp == 0,
               (0, 0, -1), fade=rng.choice([0, .02, .1]))
        if not low:
            size = (.3, .3, .02) if rng.random() < .5 else (.7, .1, .03)
            b.add([Part(box(size, (x, y, room.height - .02)), 'glow', WHITE, CEILING)])
    if rng.random() < .4:  # light through a window, from the side
        k = int(rng.integers(4))
        at = (room.x if k % 2 else 0) * (1 - 2 * (k // 2)), (0 if k % 2 else room.y) * (1 - 2 * (
            k // 2))
        b.lamp((.95 * at[0], .95 * at[1], 1.6), np.array([.9, .95, 1.0]) * rng.uniform(.3, .9),
               False, (-at[0], -at[1], -.5), 80, .03)


def crowd(b: SceneBuilder, area: Area, most: int) -> None:
    """A few people, alone or in groups."""
    b.scatter((people.person,), int(b.rng.integers(0, most + 1)), area)
    b.scatter((people.group,), int(b.rng.random() < .15 + .02 * most), area)


def room(b: SceneBuilder, kind: str) -> Area:
    """A living room, bedroom or office."""
    rng = b.rng
    inside = Room(rng.uniform(1.6, 4.0), rng.uniform(1.6, 4.0), rng.uniform(2.3, 3.2),
                  str(one_of(rng, ('paint_wall', 'wall'))))
    x, y = inside.x, inside.y
    build_shell(b, inside)
    makers = (furniture.OFFICE if kind == 'office' else furniture.HOME) + (nature.plant,)
    along_walls(b, inside, makers, int(rng.integers(3, 10)))
    middle = (-.7 * x, -.7 * y, .7 * x, .7 * y)
    b.scatter((*makers, *goods.LOOSE), int(rng.integers(1, 6)), middle)
    b.scatter((goods.boxes, goods.bin_, clutter.toy, clutter.book), int(rng.integers(0, 5)),
              (-.9 * x, -.9 * y, .9 * x, .9 * y))
    crowd(b, middle, 4)
    b.scatter((lambda r: poles.pillar(r, inside.height),), int(rng.random() < .15), middle)
    light(b, inside)
    return -x, -y, x, y


def tabletop(b: SceneBuilder) -> Area:
    """A small room that is about what lies on its tables."""
    rng = b.rng
    inside = Room(rng.uniform(1.6, 3.0), rng.uniform(1.6, 3.0), rng.uniform(2.3, 3.0))
    build_shell(b, inside)
    for _ in range(int(rng.integers(1, 3))):
        parts = b.instead(furniture.workplace(rng) if rng.random() < .5 else
                          furniture.table(rng, full=True))
        x, y = rng.uniform(-.5, .5, 2) * (inside.x, inside.y)
        yaw = rng.uniform(-3, 3)
        if b.fits(parts, x, y, yaw):
            b.place(parts, x, y, yaw)
    b.targets += 3 * b.targets
    along_walls(b, inside, (*furniture.OFFICE, *furniture.HOME), int(rng.integers(1, 6)))
    crowd(b, (-inside.x, -inside.y, inside.x, inside.y), 2)
    light(b, inside)
    return -inside.x, -inside.y, inside.x, inside.y


def corridor(b: SceneBuilder) -> Area:
    """A corridor with doors, at times with stairs at its end."""
    rng = b.rng
    inside = Room(rng.uniform(4, 11), rng.uniform(.75, 1.5), rng.uniform(2.4, 3.2),
                  str(one_of(rng, ('paint_wall', 'wall'))), str(one_of(rng, ('floor',
                                                                            'hall_floor'))))
    build_shell(b, inside)
    x, y = inside.x, inside.y
    if rng.random() < .3:
        flight = stairs(rng, 2 * y - .04, inside.height - .3)
        b.place(flight, x - float(extent(flight)[1, 0]), 0, 0)
    along_walls(b, inside, (*furniture.INDOOR, *goods.LOOSE, furniture.radiator, nature.plant,
                            goods.trolley), int(rng.integers(0, 8)))
    crowd(b, (-.9 * x, -.7 * y, .9 * x, .7 * y), 5)
    light(b, inside)
    return -x, -y, x, y


def hall(b: SceneBuilder) -> Area:
    """A warehouse, workshop, shop or lobby."""
    rng = b.rng
    inside = Room(rng.uniform(5, 12), rng.uniform(5, 12), rng.uniform(3.2, 6.5),
                  str(one_of(rng, ('concrete', 'brick', 'wall'))), 'hall_floor')
    build_shell(b, inside)
    x, y = inside.x, inside.y
    area = (-.9 * x, -.9 * y, .9 * x, .9 * y)
    columns = [poles.pillar(rng, inside.height)] * int(rng.integers(0, 4))
    for parts in columns:
        b.scatter((lambda r, p=parts: p,), 1, area, 0.0)
    if rng.random() < .35:
        flight = stairs(rng, rng.uniform(1, 3), inside.height - .5)
        b.scatter((lambda r: flight,), 1, area, float(rng.choice([0, math.pi])))
    b.scatter((vehicles.hall_vehicle,), int(rng.integers(0, 4)), area)
    yaw = float(rng.choice([0, math.pi / 2, math.pi]))
    stock = goods.STORAGE if rng.random() < .7 else (*furniture.INDOOR, nature.plant, goods.boxes)
    b.scatter(stock, int(rng.integers(6, 18)), area, yaw)
    b.scatter((poles.bollard, goods.cone), int(rng.integers(0, 4)), area)
    crowd(b, area, 7)
    light(b, inside)
    return -x, -y, x, y

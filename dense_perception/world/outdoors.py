"""Streets with kerbs, yards and trails over uneven ground."""

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco
import numpy as np

from dense_perception.world import furniture, goods, nature, people, poles, vehicles
from dense_perception.world.builder import Area, SceneBuilder
from dense_perception.world.classes import GROUND, WALL
from dense_perception.world.openings import Opening, filled
from dense_perception.world.parts import WHITE, Part, one_of, placed
from dense_perception.world.shapes import box, quad, terrain
from dense_perception.world.stairs import ramp, stairs

_FAR = 80.0  # metres from the middle to where the ground ends


@dataclass(frozen=True)
class Kerbs:
    """A road along x, ``half`` metres to each side, with pavements ``step`` higher."""

    half: float
    step: float

    def __call__(self, x: float, y: float) -> float:
        """Height of the ground."""
        return self.step if abs(y) > self.half else 0.0


@dataclass(frozen=True)
class Terrain:
    """Uneven ground: heights ``z`` over a grid of ``xs`` and ``ys``, flat triangles between."""

    xs: np.ndarray
    ys: np.ndarray
    z: np.ndarray

    @classmethod
    def random(cls, rng: np.random.Generator, bumps: float) -> Terrain:
        """Hills of metres, and bumps of ``bumps`` metres; level around the origin's height."""
        fine = np.arange(-14, 14.1, 1.0)
        outer = np.array([16, 19, 23, 29, 38, 55, _FAR])
        axis = np.concatenate([-outer[::-1], fine, outer])
        x, y = np.meshgrid(axis, axis, indexing='ij')
        slope = rng.normal(0, .5 * bumps, 2)
        z = slope[0] * x + slope[1] * y
        for length, high in ((5, .35), (9, .8), (17, 1.6), (40, 5), (40, 4)):
            a = rng.uniform(0, 2 * math.pi)
            wave = (x * math.cos(a) + y * math.sin(a)) * 2 * math.pi / length
            z += bumps * high * np.sin(wave + rng.uniform(0, 6.3)) * rng.uniform(.3, 1)
        return cls(axis, axis, z)

    def __call__(self, x: float, y: float) -> float:
        """Height of the ground: where a plumb line meets the mesh."""
        i = int(np.clip(np.searchsorted(self.xs, x, 'right') - 1, 0, len(self.xs) - 2))
        j = int(np.clip(np.searchsorted(self.ys, y, 'right') - 1, 0, len(self.ys) - 2))
        s = (x - self.xs[i]) / (self.xs[i + 1] - self.xs[i])
        t = (y - self.ys[j]) / (self.ys[j + 1] - self.ys[j])
        z00, z10, z01, z11 = self.z[i:i + 2, j:j + 2].T.ravel()
        # The cell's diagonal runs from its least to its greatest corner (shapes.terrain).
        if s > t:
            return float(z00 + s * (z10 - z00) + t * (z11 - z10))
        return float(z00 + t * (z01 - z00) + s * (z11 - z01))

    def part(self, texture: str) -> Part:
        """The surface."""
        return Part(terrain(self.xs, self.ys, lambda x, y: self.z), texture, WHITE, GROUND)


def street(b: SceneBuilder) -> Area:
    """A road between house fronts."""
    rng = b.rng
    road, walk, length = rng.uniform(2.5, 6), rng.uniform(1.5, 4), 60.0
    step = float(rng.choice([0, rng.uniform(.04, .16)]))
    b.ground = Kerbs(road, step)
    b.plane('road', GROUND, (0, 0, 0), (_FAR, road))
    for side in (-1, 1):
        paving = 'grass' if rng.random() < .15 else 'pavement'
        strip = quad((-_FAR, side * road, step), (2 * _FAR, 0, 0), (0, side * 60, 0), 14)
        if side < 0:
            strip = quad((-_FAR, -road - 60, step), (2 * _FAR, 0, 0), (0, 60, 0), 14)
        b.add([Part(strip, paving, WHITE, GROUND)])
        if step:
            b.add([Part(box((_FAR, .07, .06), (0, side * (road + .068), step - .06)), 'concrete',
                        (.9, .9, .9), GROUND)])
        _houses(b, side, road + walk, length)
        area = (-22, side * (road + .4), 22, side * (road + walk - .3))
        b.scatter((*poles.OUTDOOR, nature.tree, nature.tree), int(rng.integers(3, 11)), area, 0.0)
        b.scatter((*goods.STREET, nature.bush, nature.plant), int(rng.integers(0, 7)), area)
        b.scatter((vehicles.bicycle,), int(rng.integers(0, 3)), area)
        crowd(b, (-12, area[1], 12, area[3]), 7)
        b.scatter((vehicles.car, vehicles.car, vehicles.van), int(rng.integers(2, 8)),
                  (-20, side * (road - 1.15), 20, side * (road - 1.05)),
                  0.0 if rng.random() < .5 else math.pi)
    if rng.random() < .6:
        lines = [box((.8, .06, .002), (x, 0, .003)) for x in np.arange(-40, 40, 3.5)]
        if rng.random() < .5:
            lines = [box((1.5, .25, .002), (6, y, .003)) for y in np.arange(-road + .4, road, 1.0)]
        b.add([Part(m, 'plain', (.9, .9, .88), GROUND) for m in lines])
    b.scatter((people.person, people.person, vehicles.vehicle), int(rng.integers(0, 6)),
              (-16, -road / 2, 16, road / 2), 0.0)
    daylight(b)
    return -15.0, -(road + walk) + .3, 15.0, road + walk - .3


def crowd(b: SceneBuilder, area: Area, most: int) -> None:
    """People, alone and in groups."""
    b.scatter((people.person,), int(b.rng.integers(0, most + 1)), area)
    b.scatter((people.group,), int(b.rng.integers(0, 2)), area)


def _houses(b: SceneBuilder, side: int, distance: float, length: float) -> None:
    """A row of house fronts with gaps; their fronts face the street."""
    rng, parts, x = b.rng, [], -length
    base = b.ground(0, side * distance)
    while x < length:
        half = rng.uniform(3, 9)
        if rng.random() < .85:
            y, deep, tall = distance + rng.uniform(0, 2.0), 8.0, rng.uniform(3, 14)
            fronts = [Part(quad((-half, 0, 0), (2 * half, 0, 0), (0, 0, tall), 4), 'facade', WHITE,
                           WALL)]
            fronts += [Part(quad((half, 0, 0), (0, deep, 0), (0, 0, tall), 8), 'brick', WHITE,
                            WALL),
                       Part(quad((-half, deep, 0), (0, -deep, 0), (0, 0, tall), 8), 'brick', WHITE,
                            WALL)]
            if abs(x + half) < 22:
                door = Opening(str(one_of(rng, ('door', 'window'))), rng.uniform(-.7, .7) * half,
                               rng.uniform(.45, 1.2), 0.0, rng.uniform(2, 2.5))
                fronts += placed([p for p in filled(door, rng) if p.label == WALL], (0, -.12, 0))
            turn = 0.0 if side > 0 else math.pi
            parts += placed(fronts, (x + half, side * y, base), turn)
        x += 2 * half + rng.uniform(0, 3)
    b.add(parts)


def yard(b: SceneBuilder, uneven: float = .5) -> Area:
    """A yard, garden or car park with walls and fences; on a slope or bumps at times."""
    rng = b.rng
    x, y = rng.uniform(6, 14), rng.uniform(6, 14)
    cover = str(one_of(rng, ('grass', 'pavement', 'dirt', 'road')))
    if rng.random() < uneven:
        b.ground = Terrain.random(rng, rng.uniform(.01, .06))
        b.add([b.ground.part(cover)])
    else:
        b.add([Part(quad((-_FAR, -_FAR, 0), (2 * _FAR, 0, 0), (0, 2 * _FAR, 0), 14), cover, WHITE,
                    GROUND)])
        area = (-.8 * x, -.8 * y, .8 * x, .8 * y)
        if rng.random() < .5:
            rise = (ramp if rng.random() < .4 else stairs)(rng, rng.uniform(1.2, 4))
            b.scatter((lambda r: rise,), 1, area)
    _fences(b, x, y)
    area = (-x, -y, x, y)
    b.scatter((vehicles.vehicle, vehicles.vehicle, vehicles.hall_vehicle), int(rng.integers(1, 6)),
              area)
    b.scatter((nature.tree, nature.tree, nature.bush, nature.rock, nature.plant, goods.bench,
               *goods.STREET, goods.drum, furniture.table), int(rng.integers(4, 14)), area)
    b.scatter(poles.OUTDOOR, int(rng.integers(1, 6)), area)
    crowd(b, (-.7 * x, -.7 * y, .7 * x, .7 * y), 7)
    daylight(b)
    return -x, -y, x, y


def _fences(b: SceneBuilder, x: float, y: float) -> None:
    """Walls, houses, hedges and fences around a yard, or nothing."""
    rng, low = b.rng, b.rng.uniform(.8, 2.4)
    for k in range(4):
        kind = str(rng.choice(['none', 'wall', 'house', 'planks', 'hedge']))
        if kind == 'none':
            continue
        across, along = ((y, x), (x, y))[k % 2]
        base, parts = -1.5, []
        half = along + .5
        if kind == 'house':
            tall = rng.uniform(3, 10)
            parts.append(Part(quad((-half, 0, base), (2 * half, 0, 0), (0, 0, tall - base), 4),
                              'facade', WHITE, WALL))
        elif kind == 'hedge':
            hedge = box((half, .4, (low - base) / 2), (0, .4, (low + base) / 2))
            parts.append(Part(hedge, 'leaf'))
        else:
            look = 'wood' if kind == 'planks' else str(one_of(rng, ('brick', 'concrete')))
            parts.append(Part(box((half, .06, (low - base) / 2), (0, .06, (low + base) / 2)), look,
                              WHITE, WALL))
        yaw = k * math.pi / 2
        b.add(placed(parts, (-math.sin(yaw) * (across + .5), math.cos(yaw) * (across + .5), 0),
                     yaw))


def trail(b: SceneBuilder) -> Area:
    """A park or wood: hills, trees, bushes, rocks."""
    rng = b.rng
    b.ground = Terrain.random(rng, rng.uniform(.03, .14))
    b.add([b.ground.part(str(one_of(rng, ('grass', 'dirt', 'grass'))))])
    area = (-12.0, -12.0, 12.0, 12.0)
    b.scatter((nature.tree,), int(rng.integers(4, 16)), (-30, -30, 30, 30))
    b.scatter((nature.tree, nature.bush, nature.bush, nature.rock, nature.rock, nature.tuft,
               nature.tuft), int(rng.integers(6, 18)), area)
    b.scatter((goods.bench, poles.sign, poles.bollard, poles.lamp_post, vehicles.bicycle,
               goods.bin_), int(rng.integers(0, 5)), area)
    crowd(b, (-9, -9, 9, 9), 6)
    daylight(b)
    return -9.0, -9.0, 9.0, 9.0


def daylight(b: SceneBuilder) -> None:
    """Sun, overcast sky, low sun, or night with lamps; a skybox, and haze at times."""
    rng = b.rng
    kind = str(rng.choice(['sun', 'overcast', 'low', 'night'], p=[.45, .3, .17, .08]))
    level = rng.uniform(.06, .2) if kind == 'night' else rng.uniform(.5, 1.0)
    tone = {'low': np.array([1, .82, .6]), 'night': np.array([.8, .85, 1])}.get(kind, np.ones(3))
    share = rng.uniform(.55, .8) if kind == 'overcast' else rng.uniform(.25, .5)
    b.ambient(level * tone * share)
    azimuth = rng.uniform(0, 2 * math.pi)
    elevation = rng.uniform(.15, .4) if kind == 'low' else rng.uniform(.5, 1.4)
    b.spec.worldbody.add_light(
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, pos=[0, 0, 20], ambient=[0, 0, 0],
        dir=[math.cos(azimuth) * math.cos(elevation), math.sin(azimuth) * math.cos(elevation),
             -math.sin(elevation)],
        diffuse=list(level * tone * (.3 if kind in ('overcast', 'night') else .85)),
        castshadow=kind in ('sun', 'low'))
    if kind == 'night':
        for _ in range(int(rng.integers(1, 4))):
            b.lamp((*rng.uniform(-8, 8, 2), rng.uniform(3, 6)), np.array([1, .8, .5]) * .8, False,
                   fade=.03)
    horizon = rng.uniform(.75, 1.0) * np.array([rng.uniform(.85, 1), rng.uniform(.9, 1), 1]) * tone
    zenith = horizon if kind == 'overcast' else horizon * [rng.uniform(.25, .65),
                                                           rng.uniform(.5, .8), 1]
    dim = level ** .5
    b.spec.add_texture(
        name='sky', type=mujoco.mjtTexture.mjTEXTURE_SKYBOX, width=64, height=64 * 6,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT, rgb1=list(np.minimum(zenith * dim, 1)),
        rgb2=list(np.minimum(horizon * dim, 1)))

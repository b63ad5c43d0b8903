"""Random scenes at real sizes: rooms, corridors, halls, streets and yards.

World frame (REP-103): z up, ground at z = 0, metres.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import mujoco
import numpy as np

from dense_perception.world import objects
from dense_perception.world.classes import CEILING, GROUND, WALL
from dense_perception.world.objects import Part
from dense_perception.world.textures import pick_texture

KINDS = ('room', 'corridor', 'hall', 'street', 'yard')
NEAR, FAR = 0.05, 150.0  # clip planes in metres
_SHAPES = {
    'box': mujoco.mjtGeom.mjGEOM_BOX, 'cylinder': mujoco.mjtGeom.mjGEOM_CYLINDER,
    'sphere': mujoco.mjtGeom.mjGEOM_SPHERE, 'capsule': mujoco.mjtGeom.mjGEOM_CAPSULE,
    'ellipsoid': mujoco.mjtGeom.mjGEOM_ELLIPSOID, 'plane': mujoco.mjtGeom.mjGEOM_PLANE}
_PALETTE = 3  # textures of one kind in one scene: more would only cost upload time


@dataclass(frozen=True)
class Scene:
    """A compiled scene and where in it a camera can be.

    ``free`` is the rectangle (x0, y0, x1, y1) a robot may drive in; ``obstacles`` are circles
    (x, y, radius) on the ground. Geometries carry their class id in ``geom_user``.
    """

    kind: str
    model: mujoco.MjModel
    free: tuple[float, float, float, float]
    obstacles: tuple[tuple[float, float, float], ...]

    def clearance(self, x: float, y: float) -> float:
        """Metres from (x, y) to the nearest obstacle or edge of the free space; < 0 inside."""
        x0, y0, x1, y1 = self.free
        edges = (x - x0, x1 - x, y - y0, y1 - y)
        return min(*edges, *(math.hypot(x - ox, y - oy) - r for ox, oy, r in self.obstacles), 99.0)


def make_scene(seed: int | Sequence[int], split: str, kind: str | None = None) -> Scene:
    """A random scene; the same arguments always give the same scene.

    :param split: texture bank, ``train`` or ``held_out``.
    :param kind: one of :data:`KINDS`; None draws one.
    :raises ValueError: the kind or the split is unknown.
    """
    rng = np.random.default_rng(seed)
    kind = kind or str(rng.choice(KINDS, p=[0.3, 0.15, 0.15, 0.25, 0.15]))
    if kind not in _BUILDERS:
        raise ValueError(f'unknown kind of scene "{kind}"; choose from {", ".join(KINDS)}')
    builder = _SceneBuilder(rng, split)
    free = _BUILDERS[kind](builder)
    model = builder.spec.compile()
    return Scene(kind, model, free, tuple(builder.obstacles))


@dataclass
class _SceneBuilder:
    """Collects geometry into a MuJoCo spec."""

    rng: np.random.Generator
    split: str
    spec: mujoco.MjSpec = field(default_factory=mujoco.MjSpec)
    obstacles: list[tuple[float, float, float]] = field(default_factory=list)
    _materials: dict[tuple[str, bool], list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        spec = self.spec
        spec.nuser_geom = 1
        spec.stat.extent = 1.0
        spec.visual.map.znear, spec.visual.map.zfar = NEAR, FAR
        spec.visual.quality.offsamples = 4
        spec.visual.quality.shadowsize = 1024
        spec.visual.quality.numslices, spec.visual.quality.numstacks = 14, 8
        spec.visual.quality.numquads = 3
        spec.visual.global_.offwidth = spec.visual.global_.offheight = 1280
        self.camera = spec.worldbody.add_camera(
            name='camera', sensor_size=[1, 1], focal_length=[1, 1], resolution=[64, 64])

    def material(self, kind: str, flat: bool) -> str:
        """Name of a material of a kind; ``flat`` for planes, else wrapped around a body."""
        names = self._materials.setdefault((kind, flat), [])
        if len(names) == _PALETTE:
            return str(self.rng.choice(names))
        texture = pick_texture(kind, self.split, self.rng)
        name = f'{kind}_{"flat" if flat else "cube"}_{texture.index}'
        if name in names:
            return name
        size = texture.image.shape[0]
        asset = self.spec.add_texture(
            name=name, width=size, height=size, nchannel=3,
            type=mujoco.mjtTexture.mjTEXTURE_2D if flat else mujoco.mjtTexture.mjTEXTURE_CUBE)
        asset.data = texture.image.tobytes()
        shiny = self.rng.random() < 0.25
        material = self.spec.add_material(
            name=name, texuniform=flat, texrepeat=[1 / texture.metres] * 2,
            specular=0.5 if shiny else 0.1, shininess=0.6 if shiny else 0.1,
            # Each mirroring plane draws the scene again, so only floors mirror.
            reflectance=0.2 if shiny and flat and kind == 'floor' else 0.0)
        slots = material.textures
        slots[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
        material.textures = slots
        names.append(name)
        return name

    def plane(self, texture: str, label: int, centre: Sequence[float],
              half: tuple[float, float], euler: Sequence[float], tint: float = 1.0) -> None:
        """A one-sided rectangle whose normal is z turned by ``euler`` (intrinsic xyz)."""
        self.spec.worldbody.add_geom(
            type=_SHAPES['plane'], size=[*half, 1], pos=list(centre), quat=_quaternion(euler),
            material=self.material(texture, True), rgba=[tint, tint, tint, 1], userdata=[label],
            contype=0, conaffinity=0)

    def place(self, parts: Sequence[Part], x: float, y: float, yaw: float) -> None:
        """Put an object on the ground and remember its footprint."""
        body = self.spec.worldbody.add_body(pos=[x, y, 0], quat=_quaternion((0, 0, yaw)))
        for part in parts:
            body.add_geom(
                type=_SHAPES[part.shape], size=[*part.size, 0, 0][:3], pos=list(part.pos),
                quat=_quaternion(part.euler), material=self.material(part.texture, False),
                rgba=[*part.colour, 1], userdata=[part.label], contype=0, conaffinity=0, mass=0)
        self.obstacles.append((x, y, objects.footprint(parts)))

    def scatter(self, makers: Sequence[Callable], count: int,
                area: tuple[float, float, float, float], yaw: float | None = None) -> None:
        """Place up to ``count`` random objects where nothing stands yet."""
        x0, y0, x1, y1 = area
        for _ in range(count):
            parts = makers[int(self.rng.integers(len(makers)))](self.rng)
            radius = objects.footprint(parts)
            for _ in range(8):
                x = x0 + (x1 - x0) * self.rng.random()
                y = y0 + (y1 - y0) * self.rng.random()
                if all(math.hypot(x - ox, y - oy) > radius + r for ox, oy, r in self.obstacles):
                    turn = self.rng.uniform(-math.pi, math.pi) if yaw is None else yaw
                    self.place(parts, x, y, turn)
                    break

    def walls(self, x: float, y: float, height: float) -> None:
        """Four walls facing inwards around [-x, x] x [-y, y], with doors, windows, pictures."""
        half = height / 2
        self.plane('wall', WALL, (-x, 0, half), (half, y), (0, math.pi / 2, 0))
        self.plane('wall', WALL, (x, 0, half), (half, y), (0, -math.pi / 2, 0))
        self.plane('wall', WALL, (0, -y, half), (x, half), (-math.pi / 2, 0, 0))
        self.plane('wall', WALL, (0, y, half), (x, half), (math.pi / 2, 0, 0))
        for side in range(4):
            along, across = ((y, x) if side < 2 else (x, y))
            for _ in range(int(self.rng.integers(0, 1 + math.ceil(along)))):
                self._on_wall(side, across, self.rng.uniform(-0.9, 0.9) * along, height)

    def _on_wall(self, side: int, across: float, at: float, height: float) -> None:
        door = self.rng.random() < 0.5
        half_w = 0.45 if door else self.rng.uniform(0.2, 0.7)
        half_h = 1.0 if door else self.rng.uniform(0.2, 0.5)
        z = half_h if door else min(1.5, height - half_h - 0.1)
        sign = -1 if side % 2 == 0 else 1
        pos, size = (((sign * across, at, z), (0.03, half_w, half_h)) if side < 2
                     else ((at, sign * across, z), (half_w, 0.03, half_h)))
        tint = self.rng.uniform(0.3, 1.0, 3)
        self.spec.worldbody.add_geom(
            type=_SHAPES['box'], size=list(size), pos=list(pos), rgba=[*tint, 1],
            material=self.material(str(self.rng.choice(['wood', 'plain', 'fabric'])), False),
            userdata=[WALL], contype=0, conaffinity=0)

    def indoor_light(self, x: float, y: float, height: float) -> None:
        """Lamps under the ceiling; one of them throws shadows."""
        level = self.rng.uniform(0.35, 1.0)
        warm = np.array([1.0, self.rng.uniform(0.85, 1.0), self.rng.uniform(0.65, 1.0)])
        self._ambient(level * self.rng.uniform(0.25, 0.5))
        lamps = int(self.rng.integers(1, 4))
        for lamp in range(lamps):
            self.spec.worldbody.add_light(
                type=mujoco.mjtLightType.mjLIGHT_SPOT, cutoff=85, exponent=0.5,
                pos=[self.rng.uniform(-x, x) * 0.7, self.rng.uniform(-y, y) * 0.7, height - 0.05],
                dir=[0, 0, -1], diffuse=list(level * warm / lamps ** 0.5),
                ambient=[0, 0, 0], castshadow=lamp == 0,
                attenuation=[1, 0, self.rng.uniform(0, 0.02)])

    def outdoor_light(self) -> None:
        """Sun or overcast sky, a skybox and, at times, fog."""
        rng = self.rng
        overcast = rng.random() < 0.35
        level = rng.uniform(0.4, 1.0)
        self._ambient(level * (rng.uniform(0.55, 0.8) if overcast else rng.uniform(0.2, 0.45)))
        azimuth, elevation = rng.uniform(0, 2 * math.pi), rng.uniform(0.3, 1.4)
        self.spec.worldbody.add_light(
            type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, pos=[0, 0, 20], ambient=[0, 0, 0],
            dir=[math.cos(azimuth) * math.cos(elevation),
                 math.sin(azimuth) * math.cos(elevation), -math.sin(elevation)],
            diffuse=[level * (0.3 if overcast else 0.8)] * 3, castshadow=not overcast)
        horizon = rng.uniform(0.6, 1.0) * np.array([rng.uniform(0.8, 1), rng.uniform(0.85, 1), 1])
        zenith = horizon if overcast else horizon * [rng.uniform(.2, .6), rng.uniform(.4, .8), 1]
        self.spec.add_texture(
            name='sky', type=mujoco.mjtTexture.mjTEXTURE_SKYBOX, width=128, height=128 * 6,
            builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT, rgb1=list(zenith * level ** 0.5),
            rgb2=list(horizon * level ** 0.5))

    def _ambient(self, level: float) -> None:
        headlight = self.spec.visual.headlight
        headlight.ambient = [level] * 3
        headlight.diffuse = headlight.specular = [0.0] * 3


def _room(b: _SceneBuilder) -> tuple[float, float, float, float]:
    x, y, height = b.rng.uniform(1.5, 4.5), b.rng.uniform(1.5, 4.5), b.rng.uniform(2.3, 3.4)
    _inside(b, x, y, height)
    wall_side = (-0.85 * x, -0.85 * y, 0.85 * x, 0.85 * y)
    b.scatter(objects.INDOOR, int(b.rng.integers(3, 12)), wall_side)
    b.scatter((objects.person,), int(b.rng.integers(0, 5)), wall_side)
    b.scatter((objects.pole,), int(b.rng.random() < 0.2), wall_side)
    return -x, -y, x, y


def _corridor(b: _SceneBuilder) -> tuple[float, float, float, float]:
    x, y, height = b.rng.uniform(4, 12), b.rng.uniform(0.7, 1.6), b.rng.uniform(2.3, 3.2)
    _inside(b, x, y, height)
    for side in (-1, 1):
        b.scatter(objects.INDOOR, int(b.rng.integers(0, 5)),
                  (-0.9 * x, side * y * 0.8, 0.9 * x, side * y * 0.75))
    b.scatter((objects.person,), int(b.rng.integers(0, 6)), (-x * .9, -y * .6, x * .9, y * .6))
    b.scatter((objects.pole,), int(b.rng.random() < 0.3), (-x, -y, x, y))
    return -x, -y, x, y


def _hall(b: _SceneBuilder) -> tuple[float, float, float, float]:
    x, y, height = b.rng.uniform(5, 13), b.rng.uniform(5, 13), b.rng.uniform(3.2, 6.5)
    _inside(b, x, y, height)
    area = (-0.9 * x, -0.9 * y, 0.9 * x, 0.9 * y)
    b.scatter((objects.vehicle,), int(b.rng.integers(0, 4)), area)
    b.scatter((objects.pole,), int(b.rng.integers(1, 7)), area)
    yaw = float(b.rng.choice([0, math.pi / 2, math.pi]))
    b.scatter(objects.STORAGE, int(b.rng.integers(8, 26)), area, yaw)
    b.scatter((objects.person,), int(b.rng.integers(1, 9)), area)
    return -x, -y, x, y


def _inside(b: _SceneBuilder, x: float, y: float, height: float) -> None:
    b.plane('floor', GROUND, (0, 0, 0), (x, y), (0, 0, 0))
    b.plane('ceiling', CEILING, (0, 0, height), (x, y), (math.pi, 0, 0))
    b.walls(x, y, height)
    b.indoor_light(x, y, height)


def _street(b: _SceneBuilder) -> tuple[float, float, float, float]:
    rng = b.rng
    road, kerb, length = rng.uniform(2.5, 6), rng.uniform(1.2, 3.5), 60.0
    b.plane('pavement', GROUND, (0, 0, 0), (length, road), (0, 0, 0))
    for side in (-1, 1):
        b.plane('vegetation' if rng.random() < 0.2 else 'pavement', GROUND,
                (0, side * (road + 30), 0), (length, 30), (0, 0, 0))
        _houses(b, side, road + kerb, length)
        area = (-25, side * (road + 0.3), 25, side * (road + kerb - 0.2))
        b.scatter((objects.pole, objects.pole, objects.tree), int(rng.integers(2, 9)), area)
        b.scatter(objects.OUTDOOR, int(rng.integers(0, 5)), area)
        b.scatter((objects.person,), int(rng.integers(1, 7)), area)
        b.scatter((objects.vehicle,), int(rng.integers(1, 7)),
                  (-25, side * (road - 1.1), 25, side * (road - 1.0)),
                  0.0 if rng.random() < 0.5 else math.pi)
    b.scatter((objects.person, objects.vehicle), int(rng.integers(0, 5)),
              (-20, -road / 2, 20, road / 2), 0.0)
    b.outdoor_light()
    return -15.0, -(road + kerb) + 0.3, 15.0, road + kerb - 0.3


def _houses(b: _SceneBuilder, side: int, distance: float, length: float) -> None:
    """A row of house fronts with gaps; their fronts face the street."""
    x = -length
    while x < length:
        half = b.rng.uniform(3, 9)
        if b.rng.random() < 0.85:
            set_back = b.rng.uniform(0, 2.0)
            height = b.rng.uniform(3, 12)
            y, depth = side * (distance + set_back), 6.0
            turn = math.pi / 2 if side > 0 else -math.pi / 2
            b.plane('facade', WALL, (x + half, y, height / 2), (half, height / 2), (turn, 0, 0))
            for end in (-1, 1):
                b.plane('wall', WALL, (x + half + end * half, y + side * depth, height / 2),
                        (height / 2, depth), (0, end * math.pi / 2, 0))
        x += 2 * half + b.rng.uniform(0, 3)


def _yard(b: _SceneBuilder) -> tuple[float, float, float, float]:
    rng = b.rng
    x, y = rng.uniform(6, 18), rng.uniform(6, 18)
    b.plane(str(rng.choice(['vegetation', 'pavement'])), GROUND, (0, 0, 0), (80, 80), (0, 0, 0))
    fence = rng.uniform(0.9, 2.5)
    for turn in range(4):
        if rng.random() < 0.75:
            tall = rng.uniform(3, 10) if rng.random() < 0.4 else fence
            texture = 'facade' if tall > 3 else str(rng.choice(['wall', 'wood']))
            at = (x, y)[turn % 2] + 0.5
            yaw = turn * math.pi / 2
            centre = (at * math.cos(yaw), at * math.sin(yaw), tall / 2)
            half = (y, x)[turn % 2] + 0.5
            b.spec.worldbody.add_geom(
                type=_SHAPES['plane'], size=[half, tall / 2, 1], pos=list(centre),
                quat=_facing(yaw + math.pi), material=b.material(texture, True),
                userdata=[WALL], contype=0, conaffinity=0)
    area = (-x, -y, x, y)
    b.scatter((objects.vehicle,), int(rng.integers(0, 5)), area)
    b.scatter(objects.OUTDOOR, int(rng.integers(4, 16)), area)
    b.scatter((objects.pole,), int(rng.integers(0, 6)), area)
    b.scatter((objects.person,), int(rng.integers(0, 9)), area)
    b.outdoor_light()
    return -x, -y, x, y


_BUILDERS: dict[str, Callable[[_SceneBuilder], tuple[float, float, float, float]]] = {
    'room': _room, 'corridor': _corridor, 'hall': _hall, 'street': _street, 'yard': _yard}


def _quaternion(euler: Sequence[float]) -> list[float]:
    """Quaternion (w, x, y, z) of intrinsic x-y-z rotations in radians."""
    quat = np.empty(4)
    mujoco.mju_euler2Quat(quat, np.asarray(euler, float), 'xyz')
    return quat.tolist()


def _facing(yaw: float) -> list[float]:
    """Quaternion of an upright rectangle (x across, y up) whose normal points along ``yaw``."""
    across = np.array([-math.sin(yaw), math.cos(yaw), 0])
    normal = np.array([math.cos(yaw), math.sin(yaw), 0])
    quat = np.empty(4)
    mujoco.mju_mat2Quat(quat, np.column_stack([across, (0, 0, 1), normal]).ravel())
    return quat.tolist()

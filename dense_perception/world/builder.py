"""Collects objects, surfaces and lights into a MuJoCo model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import mujoco
import numpy as np

from dense_perception.world.catalogue import Catalogue
from dense_perception.world.classes import PERSON, POLE
from dense_perception.world.parts import Maker, Part, Parts, extent, placed, placed_point
from dense_perception.world.photographs import Photographs
from dense_perception.world.shapes import joined
from dense_perception.world.textures import Texture, pick_texture

NEAR, FAR = 0.05, 150.0  # clip planes in metres
_PALETTE = 3  # textures of one kind in one scene: more would only cost upload time
_PRINTS = 6  # of pictures and packets
_MANY = ('packaging', 'poster')
_MODELLED = 0.6  # share of the objects that a piece of the catalogue stands in for, if it can
_PHOTOGRAPHED = 0.6  # share of the textures that a photograph stands in for, if it can
_PLANE = '_plane'
_GLOW = {'outside': 0.7, 'screen': 0.5, 'glow': 1.0}
Circle = tuple[float, float, float]
Area = tuple[float, float, float, float]


def flat(x: float, y: float) -> float:
    """Ground at z = 0 everywhere."""
    return 0.0


@dataclass
class SceneBuilder:
    """A scene in the making: geometry in ``spec``, circles that are taken in ``obstacles``.

    ``ground`` is the height of the ground where objects stand; ``people`` and ``targets`` are
    places (x, y, z) worth looking at. Pieces of a ``catalogue`` stand in for objects like them,
    ``photographs`` for textures.
    """

    rng: np.random.Generator
    split: str
    catalogue: Catalogue | None = None
    photographs: Photographs | None = None
    ground: Callable[[float, float], float] = flat
    spec: mujoco.MjSpec = field(default_factory=mujoco.MjSpec)
    obstacles: list[Circle] = field(default_factory=list)
    people: list[tuple[float, float, float]] = field(default_factory=list)
    targets: list[tuple[float, float, float]] = field(default_factory=list)
    _materials: dict[str, list[tuple[str, float]]] = field(default_factory=dict)
    _meshes: int = 0

    def __post_init__(self) -> None:
        spec = self.spec
        spec.nuser_geom = 1
        spec.stat.extent = 1.0
        spec.visual.map.znear, spec.visual.map.zfar = NEAR, FAR
        spec.visual.quality.offsamples = 4
        spec.visual.quality.shadowsize = 1024
        spec.visual.quality.numquads = 4
        spec.worldbody.add_camera(
            name='camera', sensor_size=[1, 1], focal_length=[1, 1], resolution=[64, 64])

    def material(self, look: str | Texture) -> tuple[str, float]:
        """Name of a material of a kind or of an image, and the metres that its texture spans."""
        kind = look.kind if isinstance(look, Texture) else look
        made = self._materials.setdefault(kind, [])
        if isinstance(look, Texture):
            texture = look
        elif len(made) == (_PRINTS if kind in _MANY else _PALETTE):
            return made[int(self.rng.integers(len(made)))]
        else:
            texture = self._texture(kind)
        name = f'{texture.kind}_{texture.index}'
        if (name, texture.metres) in made:
            return name, texture.metres
        size = texture.image.shape[0]
        asset = self.spec.add_texture(name=name, width=size, height=size, nchannel=3,
                                      type=mujoco.mjtTexture.mjTEXTURE_2D)
        asset.data = texture.image.tobytes()
        shiny = self.rng.random() < (0.8 if kind == 'paint' else 0.25)
        mirror = shiny and kind in ('floor', 'hall_floor')
        # Meshes bring texture coordinates, which MuJoCo must leave alone. Planes have none, and
        # MuJoCo repeats a uniform texture once in two metres.
        for suffix, repeat in (('', 1.0), (_PLANE, 2 / texture.metres)):
            material = self.spec.add_material(
                name=name + suffix, specular=0.4 if shiny else 0.05,
                shininess=0.6 if shiny else 0.1, texuniform=suffix == _PLANE,
                texrepeat=[repeat, repeat], emission=_GLOW.get(kind, 0.0),
                # Each mirroring plane draws the scene again, so only floors mirror.
                reflectance=self.rng.uniform(0.05, 0.25) if mirror and suffix else 0.0)
            slots = material.textures
            slots[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
            material.textures = slots
        made.append((name, texture.metres))
        return made[-1]

    def _texture(self, kind: str) -> Texture:
        """A texture of a kind, or a photograph."""
        picked = None
        if self.photographs is not None and self.rng.random() < _PHOTOGRAPHED:
            picked = self.photographs.pick(kind, self.rng)
        return picked or pick_texture(kind, self.split, self.rng)

    def plane(self, texture: str, label: int, centre: Sequence[float], half: Sequence[float],
              ) -> None:
        """A level rectangle seen from above; floors that mirror are made of these."""
        self.spec.worldbody.add_geom(
            type=mujoco.mjtGeom.mjGEOM_PLANE, size=[*half, 1], pos=list(centre),
            material=self.material(texture)[0] + _PLANE, userdata=[label], contype=0,
            conaffinity=0)

    def add(self, parts: Sequence[Part]) -> None:
        """Put parts into the scene where they are, as few meshes as possible."""
        groups: dict[tuple, list[Part]] = {}
        for part in parts:
            groups.setdefault((part.texture, part.colour, part.label), []).append(part)
        for (texture, colour, label), members in groups.items():
            mesh = joined([p.mesh for p in members])
            material, metres = self.material(texture)
            name = f'mesh_{self._meshes}'
            self._meshes += 1
            self.spec.add_mesh(
                name=name, uservert=mesh.vertices.ravel(), usernormal=mesh.normals.ravel(),
                usertexcoord=mesh.uv.ravel() / metres, userface=mesh.faces.ravel(),
                inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL)
            self.spec.worldbody.add_geom(
                type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name, material=material,
                rgba=[*colour, 1], userdata=[label], contype=0, conaffinity=0, mass=0)

    def place(self, parts: Parts, x: float, y: float, yaw: float) -> None:
        """Put an object on the ground and remember the circles it takes."""
        z = self.ground(x, y)
        self.add(placed(parts, (x, y, z), yaw))
        self.obstacles += [(*placed_point(u, v, x, y, yaw), r) for u, v, r in circles(parts)]
        top = float(extent(parts)[1, 2])
        spot = (x, y, z + 0.6 * min(top, 2.5))
        labels = {p.label for p in parts}
        if PERSON in labels:
            self.people.append(spot)
        else:  # poles are thin, and few: they are looked at twice as often
            self.targets += [spot] * (2 if POLE in labels else 1)

    def instead(self, parts: Parts) -> Parts:
        """An object, or a piece of the catalogue like it."""
        if self.catalogue is None or self.rng.random() > _MODELLED:
            return parts
        return self.catalogue.like(parts, self.rng) or parts

    def fits(self, parts: Parts, x: float, y: float, yaw: float) -> bool:
        """Whether nothing stands yet where an object would stand."""
        taken = [(*placed_point(u, v, x, y, yaw), r) for u, v, r in circles(parts)]
        return all(math.hypot(cx - ox, cy - oy) > 0.95 * (r + radius)
                   for cx, cy, r in taken for ox, oy, radius in self.obstacles)

    def scatter(self, makers: Sequence[Maker], count: int, area: Area, yaw: float | None = None,
                ) -> None:
        """Place up to ``count`` random objects where nothing stands yet.

        :param yaw: the way they face, roughly; None is any way.
        """
        x0, y0, x1, y1 = area
        for _ in range(count):
            parts = self.instead(makers[int(self.rng.integers(len(makers)))](self.rng))
            for _ in range(6):
                s, t = self.rng.random(2)
                x, y = x0 + s * (x1 - x0), y0 + t * (y1 - y0)
                turn = (self.rng.uniform(-math.pi, math.pi) if yaw is None
                        else yaw + self.rng.normal(0, 0.05))
                if self.fits(parts, x, y, turn):
                    self.place(parts, x, y, turn)
                    break

    def lamp(self, pos: Sequence[float], diffuse: Sequence[float], shadow: bool,
             direction: Sequence[float] = (0, 0, -1), cutoff: float = 85.0,
             fade: float = 0.01) -> None:
        """A lamp that shines downwards, or along ``direction``."""
        self.spec.worldbody.add_light(
            type=mujoco.mjtLightType.mjLIGHT_SPOT, cutoff=cutoff, exponent=0.5, pos=list(pos),
            dir=list(direction), diffuse=list(diffuse), ambient=[0, 0, 0], castshadow=shadow,
            specular=[0.3, 0.3, 0.3], attenuation=[1, 0, fade])

    def ambient(self, level: Sequence[float]) -> None:
        """Light from everywhere: R, G, B."""
        headlight = self.spec.visual.headlight
        headlight.ambient = list(level)
        headlight.diffuse = headlight.specular = [0.0] * 3


def circles(parts: Parts) -> list[Circle]:
    """Circles in the object's frame that cover its outline: one, or a row of them."""
    (x0, y0, _), (x1, y1, _) = extent(parts)
    cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
    long, short = max(x1 - x0, y1 - y0) / 2, max(min(x1 - x0, y1 - y0) / 2, 0.05)
    count = int(np.clip(math.ceil(long / short), 1, 5))
    radius = math.hypot(short, long / count)
    at = (2 * np.arange(count) + 1 - count) * long / count
    return [(float(cx + a), float(cy), float(radius)) if x1 - x0 > y1 - y0 else
            (float(cx), float(cy + a), float(radius)) for a in at]

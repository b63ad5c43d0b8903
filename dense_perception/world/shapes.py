"""Triangle meshes from a few generators: boxes, lofts (swept rings), lathes and sheets.

Metres; right-handed, z up. Texture coordinates are metres along the surface, so that a pattern
keeps its real size; with ``unit`` they run from 0 to 1 over a face, for pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

Vector = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Mesh:
    """``vertices``, ``normals`` (N, 3), ``uv`` (N, 2) and ``faces`` (M, 3), wound outwards."""

    vertices: np.ndarray
    normals: np.ndarray
    uv: np.ndarray
    faces: np.ndarray

    def moved(self, pos: Vector = (0, 0, 0), yaw: float = 0.0, pitch: float = 0.0,
              roll: float = 0.0) -> Mesh:
        """Turned by roll (x), then pitch (y), then yaw (z), then shifted."""
        turn = rotation(yaw, pitch, roll)
        return Mesh(self.vertices @ turn.T + np.asarray(pos, float), self.normals @ turn.T,
                    self.uv, self.faces)


def rotation(yaw: float, pitch: float = 0.0, roll: float = 0.0) -> np.ndarray:
    """Rotation matrix of fixed-axis roll, pitch and yaw (REP-103)."""
    cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    cr, sr = math.cos(roll), math.sin(roll)
    return np.array([[cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
                     [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
                     [-sp, cp * sr, cp * cr]])


def joined(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh of several."""
    starts = np.cumsum([0] + [len(m.vertices) for m in meshes])
    return Mesh(np.concatenate([m.vertices for m in meshes]),
                np.concatenate([m.normals for m in meshes]),
                np.concatenate([m.uv for m in meshes]),
                np.concatenate([m.faces + s for m, s in zip(meshes, starts, strict=False)]))


_CORNERS = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], float)
# Each face: its normal's axis and sign, then the axes along the texture's u and v; u x v = normal.
_BOX_FACES = ((0, 1, 1, 2, 1, 1), (0, -1, 1, 2, -1, 1), (1, 1, 0, 2, -1, 1), (1, -1, 0, 2, 1, 1),
              (2, 1, 0, 1, 1, 1), (2, -1, 0, 1, -1, 1))
_SIGNS, _UV_AXES = [], []
for _axis, _sign, _u, _v, _su, _sv in _BOX_FACES:
    _face = np.zeros((4, 3))
    _face[:, _axis] = _sign
    _face[:, _u] = _su * _CORNERS[:, 0]
    _face[:, _v] = _sv * _CORNERS[:, 1]
    _SIGNS.append(_face)
    _UV_AXES.append((_u, _v))
_BOX = np.concatenate(_SIGNS)
_BOX_NORMALS = np.repeat([[s if a == k else 0.0 for k in range(3)]
                          for a, s, *_ in _BOX_FACES], 4, axis=0)
_BOX_TRIANGLES = np.concatenate([[(4 * i, 4 * i + 1, 4 * i + 2), (4 * i, 4 * i + 2, 4 * i + 3)]
                                 for i in range(6)])
_BOX_UV_AXES = np.repeat(np.array(_UV_AXES), 4, axis=0)
_BOX_UV = np.tile((_CORNERS + 1) / 2, (6, 1))


def box(half: Vector, pos: Vector = (0, 0, 0), unit: bool = False) -> Mesh:
    """Cuboid of half sizes ``half`` around ``pos``."""
    half = np.asarray(half, float)
    scale = 1.0 if unit else 2 * half[_BOX_UV_AXES]
    return Mesh(_BOX * half + np.asarray(pos, float), _BOX_NORMALS, _BOX_UV * scale,
                _BOX_TRIANGLES)


def _lattice(rows: int, columns: int) -> np.ndarray:
    """Triangles of a grid of vertices, counter-clockwise seen from rows x columns."""
    at = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = at[:-1, :-1], at[1:, :-1], at[1:, 1:], at[:-1, 1:]
    return np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3),
                           np.stack([a, c, d], -1).reshape(-1, 3)])


def loft(centres: Vector, radii: Vector, sides: int = 8, power: float = 2.0,
         across: Vector = (0, 1, 0), fixed: Vector | None = None) -> Mesh:
    """Skin over rings along a path, closed at both ends.

    :param centres: (N, 3) centres of the rings.
    :param radii: (N,) or (N, 2): along ``across``, and perpendicular to it.
    :param power: 2 is an ellipse, larger ones approach a rectangle.
    :param across: an axis that is nowhere along the path.
    :param fixed: normal of all rings; by default they follow the path.
    """
    path = np.asarray(centres, float)
    size = np.maximum(np.asarray(radii, float), 1e-4)
    size = np.stack([size, size], 1) if size.ndim == 1 else size
    steps = path[1:] - path[:-1]
    length = np.sqrt((steps * steps).sum(axis=1))
    if fixed is None:
        along = np.empty_like(path)
        along[0], along[-1], along[1:-1] = steps[0], steps[-1], steps[1:] + steps[:-1]
        along /= np.sqrt((along * along).sum(axis=1, keepdims=True)) + 1e-12
    else:
        along = np.broadcast_to(np.asarray(fixed, float), path.shape)
    first = np.asarray(across, float) - (along @ np.asarray(across, float))[:, None] * along
    first /= np.sqrt((first * first).sum(axis=1, keepdims=True)) + 1e-12
    second = along[:, [1, 2, 0]] * first[:, [2, 0, 1]] - along[:, [2, 0, 1]] * first[:, [1, 2, 0]]
    ring, bow, angle = _ring(sides, power)
    frame = np.stack([first, second], 1)  # (N, 2, 3)
    points = path[:, None] + (ring * size[:, None]) @ frame
    grow = (size[1:] - size[:-1]).mean(axis=1) / np.maximum(length, 1e-6)
    slope = np.empty(len(path))
    slope[0], slope[-1], slope[1:-1] = grow[0], grow[-1], (grow[1:] + grow[:-1]) / 2
    normals = (bow / size[:, None]) @ frame
    normals /= np.sqrt((normals * normals).sum(axis=2, keepdims=True)) + 1e-12
    normals = normals - np.clip(slope, -3, 3)[:, None, None] * along[:, None]
    normals /= np.sqrt((normals * normals).sum(axis=2, keepdims=True)) + 1e-12
    uv = np.empty((*points.shape[:2], 2))
    uv[..., 0] = angle * size.max()
    uv[..., 1] = np.concatenate([[0.0], np.cumsum(length)])[:, None]
    flat = ring[:-1]
    caps = np.repeat(along[[0, -1]] * [[-1], [1]], sides, axis=0)
    return Mesh(np.concatenate([points.reshape(-1, 3), points[0, :-1], points[-1, :-1]]),
                np.concatenate([normals.reshape(-1, 3), caps]),
                np.concatenate([uv.reshape(-1, 2), flat * size[0], flat * size[-1]]),
                _loft_faces(len(path), sides))


@lru_cache(maxsize=256)
def _ring(sides: int, power: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points of a unit superellipse, its normals before scaling, and the angles of both.

    The last point is the first again: there the texture wraps.
    """
    angle = np.linspace(0, 2 * math.pi, sides + 1) + math.pi / sides
    at = np.stack([np.cos(angle), np.sin(angle)], 1)
    return (np.sign(at) * abs(at) ** (2 / power), np.sign(at) * abs(at) ** (2 - 2 / power), angle)


@lru_cache(maxsize=256)
def _loft_faces(rings: int, sides: int) -> np.ndarray:
    skin = _lattice(rings, sides + 1)[:, ::-1]
    fan = np.stack([np.zeros(sides - 2, int), np.arange(1, sides - 1), np.arange(2, sides)], 1)
    start = rings * (sides + 1)
    return np.concatenate([skin, fan[:, ::-1] + start, fan + start + sides])


_AXES = np.eye(3)


def tube(points: Vector, radius: float | Vector, sides: int = 6) -> Mesh:
    """Round rod through points; ``radius`` one number or one per point."""
    points = np.asarray(points, float)
    run = abs(points[1:] - points[:-1])
    share = (run / np.maximum(run.sum(axis=1, keepdims=True), 1e-9)).max(axis=0)
    across = _AXES[int(np.argmin(share))]
    return loft(points, np.broadcast_to(np.asarray(radius, float), len(points)), sides,
                across=across)


def lathe(profile: Vector, pos: Vector = (0, 0, 0), sides: int = 10) -> Mesh:
    """Body of revolution around z; ``profile`` is (N, 2): radius and height, upwards."""
    profile = np.asarray(profile, float)
    centres = np.zeros((len(profile), 3))
    centres[:, 2] = profile[:, 1]
    centres += np.asarray(pos, float)
    return loft(centres, profile[:, 0], sides, fixed=(0, 0, 1))


def ellipsoid(radii: Vector, pos: Vector = (0, 0, 0), sides: int = 8, rings: int = 6,
              power: float = 2.0) -> Mesh:
    """Ellipsoid, or with a larger ``power`` a cushion (superquadric)."""
    # A cushion ends in a small flat lid, not in a tip.
    last = math.pi / 2 * (1 - 0.03 * max(power - 2, 0))
    angle = np.linspace(-last, last, rings + 1)
    up = np.sign(np.sin(angle)) * abs(np.sin(angle)) ** (2 / power)
    wide = np.maximum(abs(np.cos(angle)) ** (2 / power), 0.02)
    centres = np.zeros((rings + 1, 3))
    centres[:, 2] = radii[2] * up
    return loft(centres + np.asarray(pos, float), np.stack([wide * radii[1], wide * radii[0]], 1),
                sides, power, fixed=(0, 0, 1), across=(0, 1, 0))


def blob(radius: float, rng: np.random.Generator, pos: Vector = (0, 0, 0), rough: float = 0.25,
         sides: int = 8, rings: int = 6) -> Mesh:
    """A lump: an ellipsoid deformed by a few random waves."""
    mesh = ellipsoid(radius * rng.uniform(0.7, 1.2, 3), (0, 0, 0), sides, rings)
    swell = np.ones(len(mesh.vertices))
    for _ in range(3):
        wave = rng.normal(0, 1.6 / radius, 3)
        swell += rough / 2 * np.sin(mesh.vertices @ wave + rng.uniform(0, 6))
    return Mesh(mesh.vertices * swell[:, None] + np.asarray(pos, float), mesh.normals, mesh.uv,
                mesh.faces)


def quad(corner: Vector, u: Vector, v: Vector, step: float = 1.5, unit: bool = False) -> Mesh:
    """Rectangle from ``corner`` along ``u`` and ``v``, seen from the side of u x v.

    Cut into pieces of about ``step`` metres, because light is computed at the vertices.
    """
    corner, u, v = (np.asarray(a, float) for a in (corner, u, v))
    lengths = np.linalg.norm(u), np.linalg.norm(v)
    n, m = (int(np.clip(math.ceil(length / step), 1, 12)) + 1 for length in lengths)
    s, t = np.meshgrid(np.linspace(0, 1, n), np.linspace(0, 1, m), indexing='ij')
    points = corner + s[..., None] * u + t[..., None] * v
    normal = np.cross(u, v)
    uv = np.stack([s, t], -1) if unit else np.stack([s * lengths[0], t * lengths[1]], -1)
    return Mesh(points.reshape(-1, 3), np.tile(normal / np.linalg.norm(normal), (n * m, 1)),
                uv.reshape(-1, 2), _lattice(n, m))


def terrain(xs: np.ndarray, ys: np.ndarray, height: Callable) -> Mesh:
    """A surface over a grid; ``height`` takes arrays of x and y."""
    x, y = np.meshgrid(xs, ys, indexing='ij')
    z = height(x, y)
    dx, dy = np.gradient(z, xs, ys)
    normals = np.stack([-dx, -dy, np.ones_like(z)], -1)
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    return Mesh(np.stack([x, y, z], -1).reshape(-1, 3), normals.reshape(-1, 3),
                np.stack([x, y], -1).reshape(-1, 2), _lattice(len(xs), len(ys)))

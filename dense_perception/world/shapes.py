"""Triangle meshes from a few generators: boxes, lofts (swept rings), lathes and sheets.

Metres; right-handed, z up. Texture coordinates are metres along the surface, so that a pattern
keeps its real size; with ``unit`` they run from 0 to 1 over a face, for pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
_BOX_UV = np.tile((_CORNERS + 1) / 2, (6, 1))


def box(half: Vector, pos: Vector = (0, 0, 0), unit: bool = False) -> Mesh:
    """Cuboid of half sizes ``half`` around ``pos``."""
    half = np.asarray(half, float)
    scale = 1.0 if unit else np.repeat([2 * half[list(axes)] for axes in _UV_AXES], 4, axis=0)
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
    size = np.asarray(radii, float)
    size = np.stack([size, size], 1) if size.ndim == 1 else size
    along = np.gradient(path, axis=0) if fixed is None else np.tile(np.asarray(fixed, float),
                                                                    (len(path), 1))
    along = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    first = np.asarray(across, float)
    first = first - (along @ first)[:, None] * along
    first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-9)
    second = np.cross(along, first)
    # Vertices double where the texture wraps, and at the caps, whose normals differ.
    angle = np.linspace(0, 2 * math.pi, sides + 1) + math.pi / sides
    c, s = np.cos(angle), np.sin(angle)
    ring = np.stack([np.sign(c) * abs(c) ** (2 / power), np.sign(s) * abs(s) ** (2 / power)], 1)
    bow = np.stack([np.sign(c) * abs(c) ** (2 - 2 / power), np.sign(s) * abs(s) ** (2 - 2 / power)],
                   1)
    flat = np.maximum(size, 1e-4)
    points = (path[:, None] + (ring[None, :, :1] * size[:, None, :1]) * first[:, None]
              + (ring[None, :, 1:] * size[:, None, 1:]) * second[:, None])
    outward = ((bow[None, :, :1] / flat[:, None, :1]) * first[:, None]
               + (bow[None, :, 1:] / flat[:, None, 1:]) * second[:, None])
    outward /= np.maximum(np.linalg.norm(outward, axis=2, keepdims=True), 1e-9)
    step = np.linalg.norm(np.diff(path, axis=0), axis=1)
    grow = np.diff(size.mean(axis=1)) / np.maximum(step, 1e-6)
    slope = np.zeros(len(path))
    slope[:-1] += grow / 2
    slope[1:] += grow / 2
    slope[[0, -1]] *= 2
    normals = outward - np.clip(slope, -3, 3)[:, None, None] * along[:, None]
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    length = np.concatenate([[0], np.cumsum(step)])
    girth = angle * float(size.max())
    uv = np.stack(np.broadcast_arrays(girth[None, :], length[:, None]), -1)
    rows, columns = points.shape[:2]
    skin = Mesh(points.reshape(-1, 3), normals.reshape(-1, 3), uv.reshape(-1, 2),
                _lattice(rows, columns)[:, ::-1])
    return joined([skin, _cap(points[0], -along[0]), _cap(points[-1], along[-1])])


def _cap(ring: np.ndarray, normal: np.ndarray) -> Mesh:
    ring = ring[:-1] if normal @ _turning(ring) > 0 else ring[-2::-1]
    count = len(ring)
    axis = np.argsort(abs(normal))[:2]
    faces = np.stack([np.zeros(count - 2, int), np.arange(1, count - 1), np.arange(2, count)], 1)
    return Mesh(ring, np.tile(normal, (count, 1)), ring[:, np.sort(axis)], faces)


def _turning(ring: np.ndarray) -> np.ndarray:
    return np.cross(ring[:-1], ring[1:]).sum(axis=0) - np.cross(
        ring.mean(axis=0), (ring[1:] - ring[:-1]).sum(axis=0))


def tube(points: Vector, radius: float | Vector, sides: int = 6) -> Mesh:
    """Round rod through points; ``radius`` one number or one per point."""
    points = np.asarray(points, float)
    run = abs(np.gradient(points, axis=0))
    across = np.eye(3)[int(np.argmin((run / run.sum(axis=1, keepdims=True)).max(axis=0)))]
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
    angle = np.linspace(-math.pi / 2, math.pi / 2, rings + 1)
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

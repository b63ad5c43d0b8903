"""Objects that people modelled, out of Sweet Home 3D's furniture libraries (.sh3f).

A library is a zip with ``PluginFurnitureCatalog.properties`` and a Wavefront model of each piece:
y up, its front towards +z, stretched to the width, depth and height in centimetres that the
properties give (http://www.sweethome3d.com/library.jsp?libraries). Debian's package
``sweethome3d-furniture`` has 820 pieces under CC-BY 3.0 and CC0.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
import zipfile
import zlib
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import cv2
import numpy as np

from dense_perception.world.classes import FURNITURE, PERSON, VEHICLE
from dense_perception.world.parts import (
    WHITE,
    Colour,
    Part,
    Parts,
    extent,
    one_of,
    placed,
    rgb,
    tint,
)
from dense_perception.world.shapes import Mesh
from dense_perception.world.textures import SIZE, Texture

_LISTING = 'PluginFurnitureCatalog.properties'
_LINE = re.compile(r'\s*(\w+)#(\d+)\s*=(.*)')
_MOST_FACES = 30_000  # of a piece: more would cost more than all the rest of a scene
_OTHER_COLOURS, _LADEN = 0.4, 0.7  # shares of the pieces
_TRIES = 4
_SIMILAR = {FURNITURE: 1.7, VEHICLE: 1.5, PERSON: 4.0}  # largest factor between two sides
_CLEAR = 0.5  # opacity below which a material is glass and left out
# Categories that hold pieces of one class. Doors, windows and stairs are the world's own.
_LABELS = {'Living room': FURNITURE, 'Kitchen': FURNITURE, 'Bedroom': FURNITURE,
           'Bathroom': FURNITURE, 'Office': FURNITURE, 'Lights': FURNITURE,
           'Miscellaneous': FURNITURE, 'Exterior': FURNITURE, 'Vehicles': VEHICLE,
           'Characters': PERSON}
_ANIMALS = ('cat', 'dog', 'rabbit', 'horse', 'chicken', 'mannequin')
_MOST_HOLES = 0.05  # share of a picture's pixels that may be transparent
_FLAT = 0.03  # metres; what is lower is a picture on the ground
_THINNEST = 1e-3  # metres; a picture without depth, say
_LEAST_AREA = 1e-6  # square metres; MuJoCo refuses to compile less
_TINY, _SMALL = 0.09, 0.6  # metres; what lies between lies on things. Switches and plugs do not


@dataclass(frozen=True)
class Piece:
    """An entry of a library.

    ``size`` is depth, width and height in metres, ``top`` the share of the height at which things
    stand on it (None: nowhere), ``turn`` the rotation of the model, row by row.
    """

    archive: Path
    id: str
    model: str
    label: int
    size: tuple[float, float, float]
    top: float | None
    turn: tuple[float, ...]


class Catalogue:
    """The pieces of all libraries in a folder.

    :param folder: holds ``*.sh3f``.
    :raises FileNotFoundError: there is none in it.
    :raises ValueError: one of them is not a furniture library.
    """

    def __init__(self, folder: str | Path) -> None:
        self.libraries = sorted(Path(folder).glob('*.sh3f'))
        if not self.libraries:
            raise FileNotFoundError(
                f'no furniture library (*.sh3f) in "{folder}"; Debian\'s package '
                'sweethome3d-furniture has some in /usr/share/sweethome3d/furniture')
        self.pieces = [p for path in self.libraries for p in read_library(path)]
        self._labels = np.array([p.label for p in self.pieces], int)
        self._sizes = np.array([p.size for p in self.pieces], float).reshape(-1, 3)
        self._small = np.flatnonzero((self._labels == FURNITURE)
                                     & (self._sizes.max(axis=1) > _TINY)
                                     & (self._sizes.max(axis=1) < _SMALL))

    def checksums(self) -> dict[str, str]:
        """SHA-256 of each library: frames can be made again from the same ones."""
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in self.libraries}

    def like(self, parts: Parts, rng: np.random.Generator) -> Parts | None:
        """A piece of about the size and the class of an object, to stand in its place.

        :returns: None where the object is of several classes, or there is no piece like it.
        """
        labels = {p.label for p in parts}
        label = labels.pop()
        if labels or label not in _SIMILAR:
            return None
        low, high = extent(parts)
        ratio = np.abs(np.log(self._sizes / (high - low))).max(axis=1)
        fits = np.flatnonzero((self._labels == label) & (ratio < math.log(_SIMILAR[label])))
        for _ in range(min(len(fits), _TRIES)):
            if made := self.make(self.pieces[one_of(rng, fits)], rng):
                return made
        return None

    def make(self, piece: Piece, rng: np.random.Generator) -> Parts:
        """A piece in its own or in other colours, at times with small pieces on top of it.

        Empty where the model cannot be used: too many triangles, leaves with holes, or damaged.
        """
        parts = load(piece)
        if parts and rng.random() < _OTHER_COLOURS:
            parts = _recoloured(parts, rng)
        if parts and piece.top is not None and rng.random() < _LADEN:
            parts = parts + self._strewn(piece, piece.top * piece.size[2], rng)
        return parts

    def _strewn(self, piece: Piece, top: float, rng: np.random.Generator) -> Parts:
        """Small pieces on top of another, none within another; empty where there is no room."""
        depth, width, _ = piece.size
        if min(depth, width) < 0.3 or top > 1.4 or piece.label != FURNITURE:
            return []
        out: Parts = []
        taken: list[tuple[float, float, float]] = []
        for _ in range(int(rng.integers(1, 4 + 8 * depth * width)) if len(self._small) else 0):
            thing = self.pieces[one_of(rng, self._small)]
            r = math.hypot(*thing.size[:2]) / 2
            x, y = rng.uniform(-0.45, 0.45, 2) * (depth, width)
            if all(math.hypot(x - u, y - v) > r + s for u, v, s in taken):
                out += placed(load(thing), (x, y, top), rng.uniform(-math.pi, math.pi))
                taken.append((x, y, r))
        return out


def _recoloured(parts: Parts, rng: np.random.Generator) -> Parts:
    """What has no picture on it in other colours; what is furniture of other materials, too."""
    kinds = ('plain', 'plain', 'wood', 'fabric', 'print')
    return [p if isinstance(p.texture, Texture) else
            replace(p, colour=tint(rng), texture=str(one_of(rng, kinds)) if p.label == FURNITURE
                    else p.texture) for p in parts]


@lru_cache(maxsize=64)
def read_library(path: Path) -> tuple[Piece, ...]:
    """The pieces of one library that stand on the ground or on things.

    :raises ValueError: it is not a furniture library, or an entry lacks what a piece needs.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            text = archive.read(_LISTING).decode('latin-1')
    except (zipfile.BadZipFile, KeyError) as error:
        raise ValueError(f'"{path}" is not a Sweet Home 3D furniture library: {error}') from None
    entries: dict[int, dict[str, str]] = defaultdict(dict)
    for line in text.splitlines():
        if found := _LINE.match(line):
            entries[int(found[2])][found[1]] = found[3].strip()
    try:
        return tuple(p for e in entries.values() if (p := _piece(path, e)))
    except (KeyError, ValueError) as error:
        raise ValueError(f'"{path}": an entry of {_LISTING} is incomplete: {error}') from None


def _piece(path: Path, entry: dict[str, str]) -> Piece | None:
    label = _LABELS.get(entry.get('category', ''))
    name = PurePosixPath(entry.get('model', '')).stem
    elevation = float(entry.get('elevation', 0))
    if label is None or entry.get('doorOrWindow') == 'true' or elevation > 0:
        return None
    if label == PERSON and any(a in f'{name} {entry.get("name", "")}'.lower() for a in _ANIMALS):
        label = FURNITURE
    width, depth, height = (max(float(entry[k]) / 100, _THINNEST)
                            for k in ('width', 'depth', 'height'))
    if height < _FLAT and max(width, depth) > _SMALL:
        return None
    top = float(entry.get('dropOnTopElevation', 1))
    turn = tuple(float(v) for v in entry.get('modelRotation', '1 0 0 0 1 0 0 0 1').split())
    return Piece(path, entry['id'], entry['model'].lstrip('/'), label, (depth, width, height),
                 top if top >= 0 else None, turn)


@lru_cache(maxsize=1000)
def load(piece: Piece) -> Parts:
    """Parts of a piece at its size; empty where it cannot be used."""
    meshes = _read(piece)
    if not meshes or sum(len(m.faces) for m in meshes) > _MOST_FACES:
        return []
    looks = [_look(m) for m in meshes]
    if any(look.holes for look in looks):
        return []
    turn = np.array(piece.turn).reshape(3, 3)
    points = np.concatenate([m.vertices @ turn.T for m in meshes])
    low, span = points.min(axis=0), np.ptp(points, axis=0)
    depth, width, height = piece.size
    scale = np.array([width, height, depth]) / np.maximum(span, 1e-9)
    centre = low + span * (.5, 0, .5)
    parts: Parts = []
    for mesh, look in zip(meshes, looks, strict=True):
        normals = mesh.vertex_normals @ turn.T / scale
        normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
        # Forward, left and up are the model's z, x and y.
        vertices = ((mesh.vertices @ turn.T - centre) * scale)[:, [2, 0, 1]]
        normals, faces = normals[:, [2, 0, 1]], np.array(mesh.faces)
        if look.opacity < _CLEAR or _area(vertices, faces) < _LEAST_AREA:
            continue
        uv = (np.array(mesh.visual.uv, float) if isinstance(look.texture, Texture)
              else _metres(vertices, normals))
        parts.append(Part(Mesh(vertices, normals, uv, faces), look.texture, look.colour,
                          piece.label))
    return parts


def _read(piece: Piece) -> list[Any]:
    """Meshes of a model as trimesh reads them, one for each material; none if it is damaged."""
    import trimesh  # half a second, which those without a catalogue need not wait
    with zipfile.ZipFile(piece.archive) as archive:
        folder = str(PurePosixPath(piece.model).parent)
        resolver = trimesh.resolvers.ZipResolver(
            {n: io.BytesIO(archive.read(n)) for n in archive.namelist()
             if n.startswith(folder + '/') and not n.endswith('/')}, folder)
        try:
            scene = trimesh.load_scene(io.BytesIO(archive.read(piece.model)), file_type='obj',
                                       resolver=resolver, process=False)
        except (ValueError, KeyError, IndexError):
            return []
    return [m for m in scene.geometry.values() if isinstance(m, trimesh.Trimesh)]


class _Look(NamedTuple):
    """What a material looks like; ``holes``: its picture cuts the shape out, as of leaves."""

    texture: Texture | str
    colour: Colour
    opacity: float
    holes: bool = False


def _look(mesh: Any) -> _Look:
    material = getattr(mesh.visual, 'material', None)
    picture, uv = getattr(material, 'image', None), getattr(mesh.visual, 'uv', None)
    *diffuse, alpha = (180, 180, 180, 255) if material is None else material.main_color
    if picture is None or uv is None or len(uv) != len(mesh.vertices):
        return _Look('plain', rgb(np.clip(np.array(diffuse) / 255, .03, 1)), alpha / 255)
    pixels = np.array(picture.convert('RGBA'))
    holes = bool((pixels[..., 3] < 128).mean() > _MOST_HOLES)
    pixels = cv2.resize(pixels[..., :3], (2 * SIZE, 2 * SIZE), interpolation=cv2.INTER_AREA)
    # Models count v upwards. The kind is short: MuJoCo's bindings garble names of textures above
    # 15 characters.
    texture = Texture('own', zlib.crc32(pixels.tobytes()), np.ascontiguousarray(pixels[::-1]), 1.0)
    return _Look(texture, WHITE, alpha / 255, holes)


def _area(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Square metres of a mesh's surface."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()) / 2


def _metres(vertices: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Texture coordinates in metres: the two axes that a vertex faces least."""
    facing = np.abs(normals).argmax(axis=1)
    axes = np.array([(1, 2), (0, 2), (0, 1)])[facing]
    return np.take_along_axis(vertices, axes, axis=1)

"""Photographs of materials that stand in for procedural textures in training frames.

They are read out of the wheels that ship them as they come: MiniWorld (Apache-2.0) and robosuite
(MIT). A pick is a crop of a photograph in another light or, where anything may have that colour,
dyed, so that a few photographs give many looks.
"""

from __future__ import annotations

import hashlib
import math
import zipfile
import zlib
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from dense_perception.world import patterns as p
from dense_perception.world.textures import Texture

_SIDE = 512  # of what is uploaded; most photographs have no more
_SMALLEST = 0.5  # share of a photograph's side
_JITTER = 0.3  # of the span, as its logarithm
_CARPETS = (*p.GREYS, *p.GREYS, (.3, .3, .33), *p.SOILS, (.25, .3, .4), (.45, .2, .2))
# What dyed photographs of each kind look like. Cloth and plain things get a colour of their own
# later, so they are as pale as the procedural ones.
_DYES: dict[str, p.Colours] = {
    'floor': _CARPETS, 'hall_floor': (*p.GREYS, *p.STONES), 'wall': p.PAINTS,
    'paint_wall': p.PAINTS, 'ceiling': p.WHITES, 'concrete': (*p.GREYS[1:], *p.STONES),
    'stone': p.STONES, 'wood': (*p.WOODS, *p.WHITES), 'card': ((.72, .55, .37), (.8, .66, .48)),
    'fabric': ((.88, .88, .88), (.84, .84, .84)), 'plain': ((.95, .95, .95), (.85, .85, .85))}
_UPRIGHT = ('wall', 'brick', 'concrete')  # where rows must stay level


@dataclass(frozen=True)
class Photograph:
    """A square photograph in an archive.

    It spans ``metres`` x ``metres`` and may stand for ``kinds`` of texture. One that is ``laid``
    in rows (bricks, tiles, boards) repeats as it is; others are cropped and mirrored. ``dyed``
    ones lose their own colour.
    """

    member: str
    kinds: tuple[str, ...]
    metres: float
    laid: bool = False
    dyed: bool = False


def _of(folder: str, rows: str) -> tuple[Photograph, ...]:
    """Photographs in a listing: name, metres, "laid", "dyed" or "-", and the kinds."""
    return tuple(Photograph(f'{folder}/{name}.png', tuple(kinds), float(metres), how == 'laid',
                            how == 'dyed')
                 for name, metres, how, *kinds in map(str.split, rows.strip().splitlines()))


# One that is at home at two sizes, or is dyed for some kinds alone, has two lines.
LISTING = (*_of('miniworld/textures', """
    asphalt_1               1.5  -     road pavement hall_floor
    asphalt_1               1.0  dyed  floor fabric
    brick_wall_1            1.8  laid  brick wall
    cardboard_1             0.35 -     card
    cardboard_2             0.35 -     card
    cardboard_3             0.8  -     card
    cardboard_3             1.2  dyed  paint_wall wall floor
    cardboard_4             0.5  dyed  fabric floor wall card
    ceiling_tile_noborder_1 0.6  -     ceiling
    ceiling_tiles_1         2.4  laid  ceiling
    ceiling_tiles_1         1.2  laid  floor hall_floor
    cinder_blocks_1         1.6  laid  brick wall concrete
    concrete_1              2.0  -     concrete hall_floor pavement
    concrete_1              1.5  dyed  floor
    concrete_2              2.0  -     concrete hall_floor pavement
    concrete_2              1.2  dyed  floor plain wall
    concrete_3              2.5  -     concrete hall_floor pavement
    concrete_4              2.0  -     concrete hall_floor pavement
    concrete_tiles_1        1.8  laid  pavement hall_floor floor wall
    drywall_1               1.0  dyed  wall paint_wall ceiling plain
    floor_tiles_bw_1        1.2  laid  floor hall_floor
    floor_tiles_white       1.4  laid  floor hall_floor
    floor_tiles_white       0.8  laid  wall
    grass_1                 1.6  -     grass
    grass_2                 1.6  -     grass
    marble_1                1.2  -     stone
    marble_1                1.5  dyed  floor hall_floor stone
    marble_2                1.5  dyed  stone floor hall_floor
    rock_1                  1.2  -     stone dirt
    stucco_1                0.8  dyed  wall paint_wall ceiling concrete floor fabric
    wood_1                  0.8  -     wood floor
    wood_2                  0.8  -     wood floor
    wood_planks_1           1.2  -     wood floor wall
"""), *_of('robosuite/models/assets/textures', """
    blue-wood               0.6  dyed  wood plain
    brass-ambra             0.8  dyed  floor fabric plain card
    clay                    0.8  -     dirt
    clay                    0.8  dyed  wall concrete
    cream-plaster           1.6  dyed  wall paint_wall floor hall_floor
    dark-wood               0.7  -     floor wood
    dirt                    0.8  -     dirt
    gray-felt               0.7  dyed  floor hall_floor
    gray-felt               0.4  dyed  fabric floor
    gray-plaster            2.0  dyed  wall paint_wall concrete floor hall_floor stone
    gray-woodgrain          0.5  dyed  floor fabric wood
    green-wood              0.6  dyed  wood
    light-gray-floor-tile   0.8  laid  floor hall_floor
    light-gray-plaster      1.6  dyed  wall paint_wall ceiling plain
    light-wood              0.9  -     wood floor
    pink-plaster            1.6  dyed  wall floor stone
    red-wood                0.8  dyed  wood floor
    steel-brushed           0.5  dyed  plain
    steel-scratched         2.0  -     hall_floor concrete
    white-bricks            0.6  laid  brick wall
    white-plaster           1.0  dyed  wall paint_wall ceiling fabric
    wood-tiles              0.9  laid  floor
    wood-varnished-panels   0.8  laid  floor wood
    yellow-plaster          1.6  dyed  wall paint_wall concrete floor
"""))


class Photographs:
    """The photographs of :data:`LISTING` in all archives in a folder.

    :param folder: holds ``*.whl``.
    :raises FileNotFoundError: there is no photograph in it.
    :raises ValueError: one of the archives is damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.archives: list[Path] = []
        self._choices: dict[str, list[tuple[Path, Photograph]]] = defaultdict(list)
        for path in sorted(Path(folder).glob('*.whl')):
            try:
                with zipfile.ZipFile(path) as archive:
                    members = set(archive.namelist())
            except zipfile.BadZipFile as error:
                raise _damaged(path, error) from None
            found = [photo for photo in LISTING if photo.member in members]
            self.archives += [path] if found else []
            for photo in found:
                for kind in photo.kinds:
                    self._choices[kind].append((path, photo))
        if not self.archives:
            raise FileNotFoundError(
                f'no archive (*.whl) with photographs of materials in "{folder}"; get some with '
                f'"pip download --no-deps --dest {folder} miniworld==2.1.0 robosuite==1.5.2"')

    def checksums(self) -> dict[str, str]:
        """SHA-256 of each archive used: frames can be made again from the same ones."""
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()
                for path in self.archives}

    def pick(self, kind: str, rng: np.random.Generator) -> Texture | None:
        """A look that a photograph of a kind of texture gives, None where there is none.

        :returns: a periodic texture of kind "pic", whose index no other one of a scene has.
        :raises ValueError: the photograph is damaged.
        """
        if kind not in self._choices:
            return None
        choices = self._choices[kind]
        path, photo = choices[int(rng.integers(len(choices)))]
        image, share = _read(path, photo.member), 1.0
        if rng.random() < .5:
            image = image[:, ::-1]
        if not (photo.laid and kind in _UPRIGHT):
            image = np.rot90(image, int(rng.integers(4)))
        if not photo.laid:
            image, share = _crop(image, rng)
        metres = photo.metres * math.exp(rng.uniform(-_JITTER, _JITTER))
        image = _dyed(image, _DYES[kind], rng) if photo.dyed else _lit(image, rng)
        if not photo.laid:
            image, metres = _mirrored(image), 2 * share * metres
        # The kind is short: MuJoCo's bindings garble names of textures above 15 characters.
        return Texture('pic', int(rng.integers(2 ** 32)), image, metres)


def _damaged(path: Path, error: object) -> ValueError:
    return ValueError(f'"{path}" is damaged: {error}; download it again')


@lru_cache(maxsize=len(LISTING))
def _read(path: Path, member: str) -> np.ndarray:
    """A photograph, uint8 (512, 512, 3)."""
    try:
        with zipfile.ZipFile(path) as archive:
            pixels = np.frombuffer(archive.read(member), np.uint8)
        image = cv2.imdecode(pixels, cv2.IMREAD_COLOR)
    except (zipfile.BadZipFile, zlib.error, cv2.error) as error:
        raise _damaged(path, error) from None
    if image is None:
        raise _damaged(path, f'{member} is not an image')
    return cv2.resize(image[..., ::-1], (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)


def _crop(image: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """A square of a photograph, half as many pixels wide, and the share of its side."""
    size = int(_SIDE * rng.uniform(_SMALLEST, 1))
    row, column = rng.integers(0, _SIDE - size + 1, 2)
    crop = cv2.resize(np.ascontiguousarray(image[row:row + size, column:column + size]),
                      (_SIDE // 2, _SIDE // 2), interpolation=cv2.INTER_AREA)
    return crop, size / _SIDE


def _mirrored(image: np.ndarray) -> np.ndarray:
    """An image and its mirror images, which repeat."""
    half = np.concatenate([image, image[:, ::-1]], axis=1)
    return np.concatenate([half, half[::-1]])


def _dyed(image: np.ndarray, bank: p.Colours, rng: np.random.Generator) -> np.ndarray:
    """A photograph's shades of a colour."""
    grey = image.mean(axis=2, dtype=np.float32) / 255
    shade = (grey / max(float(grey.mean()), .02)) ** rng.uniform(.4, 1.1)
    return _pixels(p.shaded(p.colour(rng, bank).astype(np.float32), shade))


def _lit(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A photograph in another light, with other contrast and paler or stronger colours."""
    out = image.astype(np.float32) / 255
    grey = out.mean(axis=2, keepdims=True)
    out = grey + rng.uniform(.3, 1.15) * (out - grey)
    mean = out.mean(axis=(0, 1))
    light = np.exp(rng.normal(0, .03, 3) + rng.uniform(-.5, .2)).astype(np.float32)
    return _pixels((mean + rng.uniform(.6, 1.15) * (out - mean)) * light)


def _pixels(image: np.ndarray) -> np.ndarray:
    return (255 * np.clip(image, 0, 1)).astype(np.uint8)

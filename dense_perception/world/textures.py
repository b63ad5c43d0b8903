"""Procedural textures in banks, some of which training never sees.

Every texture is square, periodic and made from its (kind, index) alone, so any frame can be made
again. A texture knows how many metres it spans, which ties its pattern to real sizes; pictures
span what they are put on.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dense_perception.world import patterns as p
from dense_perception.world.patterns import SIZE, Pattern

BANK_SIZES = {'train': 60, 'held_out': 20}
_BANK_START = {'train': 0, 'held_out': BANK_SIZES['train']}


@dataclass(frozen=True, eq=False)
class Texture:
    """A periodic colour image, uint8 (N, N, 3), that spans ``metres`` x ``metres``.

    A picture has ``metres`` 1: it fills a face whose texture coordinates run from 0 to 1. So have
    the images of modelled pieces (``catalogue.py``), of kind "own" and not periodic. Photographs
    (``photographs.py``) are of kind "pic".
    """

    kind: str
    index: int
    image: np.ndarray
    metres: float


def pick_texture(kind: str, split: str, rng: np.random.Generator) -> Texture:
    """One random texture of a kind from the bank of a split (``train`` or ``held_out``)."""
    return make_texture(kind, _BANK_START[split] + int(rng.integers(BANK_SIZES[split])))


@lru_cache(maxsize=2500)
def make_texture(kind: str, index: int) -> Texture:
    """Texture number ``index`` of a kind; the same arguments always give the same texture."""
    rng = np.random.default_rng([zlib.crc32(kind.encode()), index])
    makers, (least, most) = _MAKERS[kind]
    image = np.clip(makers[int(rng.integers(len(makers)))](rng), 0, 1)
    image = np.ascontiguousarray(np.broadcast_to(image, (SIZE, SIZE, 3)))
    return Texture(kind, index, (255 * image).astype(np.uint8), float(rng.uniform(least, most)))


def _packaging(rng: np.random.Generator) -> np.ndarray:
    return p.sheet(rng, p.colour(rng, p.INKS), int(rng.integers(3, 10)))


def _poster(rng: np.random.Generator) -> np.ndarray:
    return p.sheet(rng, p.colour(rng, (*p.WHITES, *p.WHITES, *p.INKS)), int(rng.integers(2, 8)))


def _paper(rng: np.random.Generator) -> np.ndarray:
    """Notes on a white board."""
    out = np.ones((SIZE, SIZE, 3)) * p.colour(rng, p.WHITES)
    for _ in range(int(rng.integers(0, 5))):
        r, c = rng.integers(5, SIZE - 50, 2)
        p.marks(rng, out, p.colour(rng, p.INKS), (r, r + int(rng.integers(10, 45)), c, SIZE - 10),
                int(rng.integers(2, 5)))
    return out


def _screen(rng: np.random.Generator) -> np.ndarray:
    """A desktop with windows, or a film."""
    if rng.random() < .3:
        return _outside(rng)
    dark = rng.random() < .4
    out = p.shaded(p.colour(rng, ((.05, .06, .08), (.1, .2, .4)) if dark else p.WHITES),
                   1 + .05 * p.noise(rng, 1.8))
    for _ in range(int(rng.integers(1, 4))):
        r, c = rng.integers(4, 60, 2)
        r1, c1 = r + int(rng.integers(30, 64)), c + int(rng.integers(30, 64))
        out[r:r1, c:c1] = p.colour(rng, ((.12, .12, .14), (.95, .95, .95)))
        out[r:r + 5, c:c1] = p.colour(rng, p.GREYS)
        p.marks(rng, out, p.colour(rng, p.INKS), (r + 8, r1, c + 3, c1), 2)
    return out


def _outside(rng: np.random.Generator) -> np.ndarray:
    """What is seen through a window: sky over trees, hills or houses."""
    v, u = p.grid()
    top = 1 - v + 0 * u
    sky = p.colour(rng, ((.75, .86, .98), (.95, .96, .98), (.55, .72, .95), (.9, .8, .7)))
    out = p.shaded(sky, 1 + .12 * (top - .5) + .06 * p.noise(rng, 1.7))
    for bank, level in (((p.STONES, .6)), (p.GREENS, .75)):
        edge = level + rng.normal(0, .1) + .05 * p.noise(rng, 1.6)[:1]
        land = p.shaded(p.colour(rng, bank), 1 + .25 * p.noise(rng, .8))
        out = np.where((top > edge)[..., None], land, out)
    return out


def _keys(rng: np.random.Generator) -> np.ndarray:
    v, u = p.grid()
    rows, columns = rng.integers([4, 12], [7, 19])
    gap = (v * columns % 1 < .25) | (u * rows % 1 < .25)
    return p.shaded(np.ones(3), np.where(gap, .45, .95) + .03 * p.noise(rng, .5))


def _card(rng: np.random.Generator) -> np.ndarray:
    out = p.mottled(((.72, .55, .37), (.62, .46, .3), (.8, .66, .48)), .05, .02)(rng)
    if rng.random() < .6:
        centre = int(rng.integers(40, 80))
        out[centre:centre + int(rng.integers(5, 12))] *= np.array([1.1, 1.08, 1.0])
    if rng.random() < .6:
        r, c = rng.integers(5, 70, 2)
        p.marks(rng, out, p.colour(rng, ((.1, .1, .1), (.7, .1, .1), (.95, .95, .95))),
                (r, r + 30, c, c + 45), int(rng.integers(2, 8)))
    return out


def _hazard(rng: np.random.Generator) -> np.ndarray:
    v, u = p.grid()
    k = int(rng.integers(2, 6))
    return np.where((((u + v) * k % 1) < .5)[..., None], (.95, .78, .08), (.08, .08, .08))


_PLAIN = p.mottled(((.95, .95, .95), (.85, .85, .85)), .02, .01)
_CONCRETE = p.mottled(((.5, .5, .49), (.65, .64, .62), (.4, .4, .4)), .12, .04)
_PAINTED = p.mottled(p.PAINTS, .015, .008)
_WHITE = p.mottled(p.WHITES, .02, .01)
_BRICK = p.cells((12, 19), (5, 8), p.BRICKS, p.STONES, True, .12, .006, .06)
_TILES = p.cells((2, 8), (2, 8), (*p.WHITES, *p.STONES, *p.WOODS[:2]), p.GREYS, False, .05, .006)
_SLABS = p.cells((2, 7), (2, 7), p.STONES, p.GREYS, True, .1, .01, .07)
_COBBLES = p.cells((9, 16), (9, 16), p.STONES, p.GREYS, True, .2, .012, .1)
_GRASS = p.ground(p.GREENS, .28, p.SOILS)
_DIRT = p.ground(p.SOILS, .16, p.GREENS)
_GRAVEL = p.ground(p.STONES, .3, p.SOILS)
_PANELS = p.cells((1, 3), (2, 6), p.PAINTS, p.GREYS, False, .02, .006, .01)

# kind -> (makers, smallest and largest span in metres)
_MAKERS: dict[str, tuple[tuple[Pattern, ...], tuple[float, float]]] = {
    'floor': ((p.planks, p.planks, p.parquet, p.carpet, p.carpet, p.carpet, _TILES, _TILES,
               _CONCRETE, p.mottled((*p.STONES, *p.GREYS, *p.SOILS), .06, .06)), (.9, 2.4)),
    'hall_floor': ((_CONCRETE, _CONCRETE, _TILES, p.mottled(p.GREYS, .08, .05), p.asphalt),
                   (1.5, 3.5)),
    'wall': ((_PAINTED, _PAINTED, _WHITE, _WHITE, _WHITE, _PANELS, _BRICK, _TILES, p.folds,
              p.mottled(p.PAINTS, .08, .03)), (1.0, 3.0)),
    'paint_wall': ((_PAINTED, _WHITE), (1.0, 3.0)),
    'brick': ((_BRICK,), (1.1, 1.5)),
    'concrete': ((_CONCRETE,), (1.5, 3.0)),
    'ceiling': ((_WHITE, _WHITE, _PANELS, p.cells((2, 4), (2, 4), p.WHITES, p.GREYS, False, .01,
                                                  .008, .05)), (1.2, 2.4)),
    'road': ((p.asphalt,), (2.0, 4.0)),
    'pavement': ((_SLABS, _COBBLES, p.asphalt, _CONCRETE, _SLABS), (1.2, 3.0)),
    'grass': ((_GRASS,), (.8, 3.0)),
    'dirt': ((_DIRT, _GRAVEL), (1.0, 3.0)),
    'facade': ((p.facade,), (6.0, 9.0)),
    'fabric': ((p.woven,), (.3, .8)),
    'knit': ((p.folds,), (.3, .8)),
    'denim': ((p.woven, p.folds), (.2, .5)),
    'print': ((p.printed,), (.3, .8)),
    'skin': ((p.mottled(((1, .98, .97), (.95, .93, .92)), .05, .02),), (.3, .5)),
    'hair': ((p.hair,), (.15, .3)),
    'leaf': ((p.leaf,), (.4, 1.0)),
    'bark': ((p.bark,), (.5, 1.0)),
    'stone': ((p.mottled(p.STONES, .2, .08),), (.6, 1.5)),
    'wood': ((p.veneer, p.veneer, p.veneer, p.planks), (.6, 1.6)),
    'plain': ((_PLAIN,), (.5, 2.0)),
    'paint': ((_PLAIN,), (2.0, 4.0)),
    'card': ((_card,), (.4, .8)),
    'hazard': ((_hazard,), (.4, 1.0)), 'glow': ((_PLAIN,), (1.0, 1.0)),
    'packaging': ((_packaging,), (1.0, 1.0)), 'poster': ((_poster,), (1.0, 1.0)),
    'paper': ((_paper,), (1.0, 1.0)), 'screen': ((_screen,), (1.0, 1.0)),
    'outside': ((_outside,), (1.0, 1.0)), 'keys': ((_keys,), (1.0, 1.0)),
}
KINDS = tuple(_MAKERS)

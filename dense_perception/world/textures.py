"""Procedural textures in banks, some of which training never sees.

Every texture is square, periodic and made from its (kind, index) alone, so any frame can be made
again. A texture knows how many metres it spans, which ties its pattern to real sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

SIZE = 128
BANK_SIZES = {'train': 60, 'held_out': 20}
_BANK_START = {'train': 0, 'held_out': BANK_SIZES['train']}


@dataclass(frozen=True)
class Texture:
    """A periodic colour image, uint8 (SIZE, SIZE, 3), that spans ``metres`` x ``metres``."""

    kind: str
    index: int
    image: np.ndarray
    metres: float


def pick_texture(kind: str, split: str, rng: np.random.Generator) -> Texture:
    """One random texture of a kind from the bank of a split (``train`` or ``held_out``)."""
    return make_texture(kind, _BANK_START[split] + int(rng.integers(BANK_SIZES[split])))


@lru_cache(maxsize=1024)
def make_texture(kind: str, index: int) -> Texture:
    """Texture number ``index`` of a kind; the same arguments always give the same texture."""
    kinds = sorted(_MAKERS)
    rng = np.random.default_rng([kinds.index(kind), index])
    makers, (least, most) = _MAKERS[kind]
    image = makers[int(rng.integers(len(makers)))](rng)
    grain = 1 + rng.uniform(0.01, 0.06) * _noise(rng, 0.3)
    image = np.clip(image * grain[..., None], 0, 1)
    return Texture(kind, index, (255 * image).astype(np.uint8), float(rng.uniform(least, most)))


def _noise(rng: np.random.Generator, roughness: float) -> np.ndarray:
    """Periodic noise of unit variance; ``roughness`` is the exponent of its 1/f spectrum."""
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(SIZE), np.fft.rfftfreq(SIZE), indexing='ij'))
    f[0, 0] = 1
    spectrum = np.fft.rfft2(rng.standard_normal((SIZE, SIZE))) / f ** roughness
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, (SIZE, SIZE))
    return noise / noise.std()


def _colour(rng: np.random.Generator, low: float, high: float, saturation: float) -> np.ndarray:
    """A random colour of limited saturation, linear 0..1, shape (3,)."""
    grey = rng.uniform(low, high)
    return np.clip(grey + saturation * rng.uniform(-0.5, 0.5, 3), 0.02, 0.98)


def _grid() -> tuple[np.ndarray, np.ndarray]:
    """Row and column of every texel as fractions of the texture."""
    at = np.arange(SIZE) / SIZE
    return at[:, None], at[None, :]


def _mottled(low: float, high: float, saturation: float, depth: float,
             ) -> Callable[[np.random.Generator], np.ndarray]:
    """Maker of a nearly plain surface whose brightness and hue drift."""
    def make(rng: np.random.Generator) -> np.ndarray:
        drift = depth * _noise(rng, rng.uniform(0.4, 1.6))
        tint = 0.3 * depth * _noise(rng, 1.5)[..., None] * rng.uniform(-1, 1, 3)
        return _colour(rng, low, high, saturation) * (1 + drift[..., None]) + tint
    return make


def _blocks(rows: tuple[int, int], columns: tuple[int, int], low: float, high: float,
            saturation: float, offset: bool) -> Callable[[np.random.Generator], np.ndarray]:
    """Maker of tiles, bricks, planks or panels: cells of varying shade with joints between."""
    def make(rng: np.random.Generator) -> np.ndarray:
        v, u = _grid()
        n_rows = int(rng.integers(rows[0], rows[1] + 1))
        n_columns = int(rng.integers(columns[0], columns[1] + 1))
        row = (v * n_rows).astype(int)
        shifts = rng.random(n_rows) if offset else np.zeros(n_rows)
        across = (u * n_columns + shifts[row]) % n_columns
        column = across.astype(int)
        joint = rng.uniform(0.015, 0.05)
        in_joint = ((v * n_rows % 1) < joint * n_rows) | ((across % 1) < joint * n_columns)
        shade = 1 + rng.uniform(0.02, 0.25) * rng.uniform(-1, 1, (n_rows, n_columns))
        face = _colour(rng, low, high, saturation) * shade[row, column][..., None]
        face = face * (1 + rng.uniform(0.01, 0.1) * _noise(rng, 0.8))[..., None]
        return np.where(in_joint[..., None], _colour(rng, 0.1, 0.85, 0.1), face)
    return make


def _planks(rng: np.random.Generator) -> np.ndarray:
    """Wooden boards with grain along their length."""
    base = _blocks((3, 8), (1, 2), 0.2, 0.65, 0.0, True)(rng)
    grain = _noise(rng, 0.7).mean(axis=0, keepdims=True) if rng.random() < 0.2 else (
        _noise(rng, 1.0) * 0.4 + np.repeat(_noise(rng, 0.4)[:, :1], SIZE, axis=1) * 0.6)
    brown = np.array([1.0, rng.uniform(0.65, 0.9), rng.uniform(0.35, 0.75)])
    return base * brown * (1 + 0.12 * grain)[..., None]


def _checks(rng: np.random.Generator) -> np.ndarray:
    """A two-colour check or stripe."""
    v, u = _grid()
    n = 2 * int(rng.integers(1, 7))
    rows = np.floor(v * n) if rng.random() < 0.6 else np.zeros_like(v)
    odd = ((rows + np.floor(u * n)) % 2).astype(bool)
    return np.where(odd[..., None], _colour(rng, 0.1, 0.9, 0.5), _colour(rng, 0.1, 0.9, 0.5))


def _facade(rng: np.random.Generator) -> np.ndarray:
    """Rows of windows in a wall; spans whole storeys."""
    v, u = _grid()
    storeys, bays = int(rng.integers(2, 4)), int(rng.integers(2, 5))
    y, x = v * storeys % 1, u * bays % 1
    half_w, half_h = rng.uniform(0.18, 0.42), rng.uniform(0.2, 0.4)
    window = (abs(x - 0.5) < half_w) & (abs(y - 0.5) < half_h)
    frame = (abs(x - 0.5) < half_w + 0.04) & (abs(y - 0.5) < half_h + 0.04)
    wall = (_mottled(0.25, 0.85, 0.25, 0.05) if rng.random() < 0.6
            else _blocks((16, 24), (8, 12), 0.25, 0.7, 0.25, True))(rng)
    glass = _colour(rng, 0.08, 0.5, 0.15) * (1 + 0.3 * (0.5 - y))[..., None]
    out = np.where(frame[..., None], _colour(rng, 0.2, 0.95, 0.1), wall)
    return np.where(window[..., None], glass, out)


def _vegetation(rng: np.random.Generator) -> np.ndarray:
    """Grass or foliage: green to straw, fine and contrasty."""
    green = np.array([rng.uniform(0.2, 0.5), rng.uniform(0.35, 0.6), rng.uniform(0.08, 0.25)])
    leaf = 1 + 0.3 * _noise(rng, 0.3) + 0.15 * _noise(rng, 1.2)
    return green * leaf[..., None] + 0.04 * _noise(rng, 1.0)[..., None] * np.array([1, 0.6, 0])


# kind -> (makers, smallest and largest span in metres)
_MAKERS: dict[str, tuple[tuple[Callable, ...], tuple[float, float]]] = {
    'floor': ((_planks, _planks, _blocks((2, 5), (2, 5), 0.25, 0.85, 0.2, False),
               _mottled(0.2, 0.7, 0.25, 0.1), _checks), (0.8, 2.5)),
    'wall': ((_mottled(0.45, 0.95, 0.2, 0.02), _mottled(0.3, 0.9, 0.4, 0.04),
              _blocks((10, 16), (4, 6), 0.3, 0.8, 0.3, True),
              _blocks((2, 5), (2, 5), 0.4, 0.9, 0.2, False), _checks), (0.8, 3.0)),
    'ceiling': ((_mottled(0.6, 0.97, 0.05, 0.02), _blocks((2, 4), (2, 4), 0.6, 0.95, 0.05, False)),
                (1.2, 2.4)),
    'pavement': ((_mottled(0.15, 0.6, 0.06, 0.12), _mottled(0.25, 0.6, 0.1, 0.2),
                  _blocks((3, 8), (3, 8), 0.25, 0.7, 0.15, True)), (1.0, 4.0)),
    'vegetation': ((_vegetation,), (0.8, 3.0)),
    'facade': ((_facade,), (6.0, 9.0)),
    'fabric': ((_mottled(0.05, 0.9, 0.7, 0.06), _mottled(0.1, 0.8, 0.5, 0.15), _checks),
               (0.3, 1.0)),
    'wood': ((_planks, _mottled(0.15, 0.6, 0.2, 0.08)), (0.5, 1.5)),
    'plain': ((_mottled(0.05, 0.95, 0.5, 0.02), _mottled(0.3, 0.95, 0.1, 0.04)), (0.5, 2.0)),
}

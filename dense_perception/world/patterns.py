"""Makers of surface patterns: a random generator in, linear colour (SIZE, SIZE, 3) in 0..1 out.

All are periodic. Rows are the second texture coordinate (v), columns the first (u).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

SIZE = 128
Pattern = Callable[[np.random.Generator], np.ndarray]
Colours = Sequence[tuple[float, float, float]]


def noise(rng: np.random.Generator, roughness: float, stretch: float = 1.0) -> np.ndarray:
    """Periodic noise of unit variance.

    :param roughness: exponent of its 1/f spectrum.
    :param stretch: how much longer its features are along u than along v.
    """
    f = np.hypot(np.fft.fftfreq(SIZE)[:, None], stretch * np.fft.rfftfreq(SIZE)[None])
    f[0, 0] = 1
    spectrum = np.fft.rfft2(rng.standard_normal((SIZE, SIZE))) / f ** roughness
    spectrum[0, 0] = 0
    out = np.fft.irfft2(spectrum, (SIZE, SIZE))
    return out / out.std()


def grid() -> tuple[np.ndarray, np.ndarray]:
    """Row and column of every texel as fractions of the texture."""
    at = np.arange(SIZE) / SIZE
    return at[:, None], at[None, :]


def colour(rng: np.random.Generator, bank: Colours, spread: float = 0.012) -> np.ndarray:
    """A colour between two of a bank, slightly off."""
    a, b = (np.array(bank[int(rng.integers(len(bank)))]) for _ in range(2))
    off = rng.normal(0, spread, 3) + rng.normal(0, 0.03)
    return np.clip(a + rng.random() * (b - a) + off, 0.02, 0.99)


def shaded(base: np.ndarray, shade: np.ndarray) -> np.ndarray:
    """A colour, or an image, times brightness."""
    return base * np.asarray(shade)[..., None]


GREYS = ((.2, .2, .2), (.45, .45, .44), (.7, .7, .68))
STONES = ((.35, .34, .33), (.55, .52, .48), (.65, .6, .52), (.45, .42, .4))
WHITES = ((.97, .97, .95), (.93, .91, .86), (.88, .89, .9), (.95, .93, .9))
PAINTS = (*WHITES, (.85, .8, .68), (.72, .78, .8), (.75, .8, .72), (.82, .74, .7), (.6, .62, .64),
          (.7, .55, .4), (.45, .52, .56))
BRICKS = ((.55, .27, .2), (.62, .38, .28), (.45, .28, .24), (.7, .62, .52), (.75, .72, .68))
WOODS = ((.75, .56, .36), (.6, .4, .23), (.42, .26, .15), (.83, .7, .52), (.5, .36, .25),
         (.3, .2, .14))
SOILS = ((.4, .31, .22), (.52, .43, .32), (.34, .3, .26), (.6, .54, .44))
GREENS = ((.24, .36, .12), (.36, .44, .16), (.18, .3, .14), (.52, .5, .26))
INKS = ((.8, .12, .1), (.1, .25, .6), (.1, .5, .25), (.95, .8, .15), (.9, .45, .1), (.1, .1, .1),
        (.95, .95, .95), (.5, .15, .5), (.2, .65, .75), (.9, .6, .65))


def mottled(bank: Colours, depth: float, fine: float = 0.02, hue: float = 0.0) -> Pattern:
    """Maker of a surface whose brightness drifts: stains and wear, with a fine grain on top."""
    def make(rng: np.random.Generator) -> np.ndarray:
        drift = depth * rng.uniform(.3, 1) * noise(rng, rng.uniform(1.0, 1.8))
        shade = 1 + drift + fine * rng.uniform(.3, 1.5) * noise(rng, .2)
        out = shaded(colour(rng, bank), shade)
        return out + hue * noise(rng, 1.3)[..., None] * rng.normal(0, 1, 3) if hue else out
    return make


def cells(rows: tuple[int, int], columns: tuple[int, int], bank: Colours, joints: Colours,
          offset: bool, variety: float = 0.08, joint: float = 0.02, grain: float = 0.04,
          ) -> Pattern:
    """Maker of tiles, bricks or slabs: cells of varying shade with joints between."""
    def make(rng: np.random.Generator) -> np.ndarray:
        v, u = grid()
        n, m = int(rng.integers(*rows)), int(rng.integers(*columns))
        row = (v * n).astype(int)
        shift = (np.arange(n) % 2 * .5 if rng.random() < .7 else rng.random(n)) if offset else \
            np.zeros(n)
        across = (u * m + shift[row]) % m
        column = across.astype(int)
        width = joint * rng.uniform(.5, 1.3)
        seam = ((v * n % 1) < width * n) | ((across % 1) < width * m)
        shade = 1 + rng.uniform(0, variety) * rng.normal(0, 1, (n, m))
        face = shaded(colour(rng, bank), shade[row, column] * (1 + grain * noise(rng, .9)))
        if rng.random() < .25:
            face += .2 * variety * rng.normal(0, 1, (n, m, 3))[row, column]
        mortar = shaded(colour(rng, joints), 1 + .05 * noise(rng, .4))
        return np.where(seam[..., None], mortar, face)
    return make


def planks(rng: np.random.Generator) -> np.ndarray:
    """Boards side by side, with grain along them and dark gaps."""
    v, u = grid()
    n, m = int(rng.integers(7, 14)), int(rng.integers(1, 3))
    row = (v * n).astype(int)
    across = (u * m + rng.random(n)[row]) % m
    column = across.astype(int)
    shade = 1 + rng.uniform(.03, .16) * rng.normal(0, 1, (n, m))[row, column]
    gap = ((v * n % 1) < .06) | ((across % 1) < .012 * m)
    return shaded(_grain(rng), shade * np.where(gap, rng.uniform(.35, .9), 1))


def _grain(rng: np.random.Generator) -> np.ndarray:
    bands = noise(rng, 1.1, rng.uniform(8, 25))
    rings = np.sin(4 * bands + 2 * noise(rng, 1.8, 6)) if rng.random() < .5 else bands
    shade = 1 + rng.uniform(.02, .12) * rings + .03 * noise(rng, .3, 12)
    return shaded(colour(rng, WOODS, .02), shade)


def veneer(rng: np.random.Generator) -> np.ndarray:
    """Wood without joints; at times as smooth as laminate."""
    return _grain(rng)


def parquet(rng: np.random.Generator) -> np.ndarray:
    """Blocks of strips, turned in turn."""
    v, u = grid()
    n = 2 * int(rng.integers(2, 4))
    lying = ((v * n).astype(int) + (u * n).astype(int)) % 2 == 0
    strip = np.where(lying, v * n % 1, u * n % 1) * 4
    block = (v * n).astype(int) * n + (u * n).astype(int)
    shade = (1 + .12 * rng.normal(0, 1, 4 * n * n))[4 * block + strip.astype(int)]
    grain = _grain(rng)
    face = np.where(lying[..., None], grain, grain.transpose(1, 0, 2))
    return shaded(face, shade * np.where(strip % 1 < .08, .7, 1))


def carpet(rng: np.random.Generator) -> np.ndarray:
    """Pile: coarse noise in one or two colours, at times a pattern."""
    base = colour(rng, ((.35, .35, .38), (.5, .45, .4), (.3, .22, .2), (.25, .3, .4),
                        (.6, .55, .48), (.45, .2, .2), (.3, .34, .3)))
    out = shaded(base, 1 + rng.uniform(.05, .2) * noise(rng, .1) + .05 * noise(rng, 1.2))
    if rng.random() < .3:
        v, u = grid()
        k = int(rng.integers(2, 6))
        figure = np.sin(2 * np.pi * k * u) * np.sin(2 * np.pi * k * v) > rng.uniform(-.2, .6)
        out = np.where(figure[..., None], out, out * rng.uniform(.5, 1.5, 3))
    return out


def asphalt(rng: np.random.Generator) -> np.ndarray:
    """Road surface with patches and cracks."""
    base = colour(rng, ((.24, .24, .25), (.36, .36, .36), (.48, .47, .45)), .01)
    shade = 1 + .1 * noise(rng, .1) + rng.uniform(.02, .1) * noise(rng, 1.3)
    if rng.random() < .5:
        shade = np.where(abs(noise(rng, 1.7)) < .03, .6 * shade, shade)
    if rng.random() < .3:
        shade = np.where(noise(rng, 2.0) > 1.2, .8 * shade, shade)
    return shaded(base, shade)


def ground(bank: Colours, fine: float, mix: Colours | None = None) -> Pattern:
    """Maker of grass, soil, gravel or leaves: fine and contrasty, in patches."""
    def make(rng: np.random.Generator) -> np.ndarray:
        out = shaded(colour(rng, bank), 1 + fine * noise(rng, .25) + .1 * noise(rng, 1.2))
        if mix and rng.random() < .6:
            patch = 1 / (1 + np.exp(-4 * (noise(rng, 1.4) - rng.uniform(0, 1.5))))
            other = shaded(colour(rng, mix), 1 + .15 * noise(rng, .3))
            out += patch[..., None] * (other - out)
        return out
    return make


def woven(rng: np.random.Generator) -> np.ndarray:
    """Nearly white cloth to be tinted: weave and soft folds."""
    v, u = grid()
    k = int(rng.integers(16, 40))
    weave = np.sin(2 * np.pi * k * u) * np.sin(2 * np.pi * k * v)
    return shaded(np.ones(3) * .88, 1 + rng.uniform(0, .06) * weave + .07 * noise(rng, 1.6)
                  + .04 * noise(rng, .3))


def folds(rng: np.random.Generator) -> np.ndarray:
    """Knit, curtain or corduroy to be tinted: ribs along v."""
    _, u = grid()
    ribs = np.sin(2 * np.pi * int(rng.integers(4, 20)) * u + .6 * noise(rng, 1.8))
    return shaded(np.ones(3) * .85, 1 + rng.uniform(.03, .14) * ribs + .05 * noise(rng, .4))


def printed(rng: np.random.Generator) -> np.ndarray:
    """Stripes, checks, dots or a motif on cloth, to be tinted."""
    v, u = grid()
    k, kind = int(rng.integers(2, 12)), int(rng.integers(5))
    waves = np.sin(2 * np.pi * k * u), np.sin(2 * np.pi * k * v)
    figure = (waves[1] + 0 * u > 0, (waves[0] > .3) ^ (waves[1] > .3),
              waves[0] * waves[1] > .55, noise(rng, 1.5) > .6, waves[0] + 0 * v > .2)[kind]
    out = np.where(figure[..., None], colour(rng, INKS), np.ones(3) * .9)
    return shaded(out, 1 + .05 * noise(rng, 1.2))


def hair(rng: np.random.Generator) -> np.ndarray:
    """Strands, to be tinted."""
    return shaded(np.ones(3), .85 + .2 * noise(rng, .8, .1))


def leaf(rng: np.random.Generator) -> np.ndarray:
    """Foliage: leaf-sized light and dark."""
    shade = .85 + .3 * noise(rng, .8) + .2 * noise(rng, .3)
    return np.clip(shaded(colour(rng, GREENS), np.maximum(1.2 * shade, .12)), 0, 1)


def bark(rng: np.random.Generator) -> np.ndarray:
    """Furrows along the trunk."""
    return shaded(colour(rng, ((.32, .26, .2), (.45, .4, .34), (.25, .2, .17))),
                  1 + .3 * noise(rng, .7, .2) + .1 * noise(rng, 1.4))


def facade(rng: np.random.Generator) -> np.ndarray:
    """Rows of windows in a wall; spans whole storeys."""
    v, u = grid()
    storeys, bays = int(rng.integers(2, 4)), int(rng.integers(2, 5))
    y, x = v * storeys % 1, u * bays % 1
    half_w, half_h = rng.uniform(.16, .4), rng.uniform(.2, .36)
    window = (abs(x - .5) < half_w) & (abs(y - .5) < half_h)
    bars = (abs((x - .5) % (half_w + .001)) < .02) | (abs(y - .5) < .015)
    frame = (abs(x - .5) < half_w + .03) & (abs(y - .5) < half_h + .04)
    wall = (mottled(PAINTS, .04), cells((24, 33), (12, 17), BRICKS, STONES, True, joint=.006),
            cells((4, 7), (4, 7), STONES, GREYS, True, joint=.008))[int(rng.integers(3))](rng)
    pane = rng.uniform(.08, .5, (storeys, bays))[(v * storeys).astype(int), (u * bays).astype(int)]
    glass = shaded(np.array([.85, .95, 1.05]), pane * (1 + .8 * (y - .5)) + 0 * x)
    glass = np.where(bars[..., None], .9, glass)
    out = np.where(frame[..., None], colour(rng, WHITES), wall)
    return np.where(window[..., None], glass, out)


def marks(rng: np.random.Generator, image: np.ndarray, ink: np.ndarray, box: Sequence[int],
          line: int) -> None:
    """Text-like marks: rows of words inside (row0, row1, column0, column1)."""
    for row in range(box[0], box[1] - line, 2 * line):
        at = box[2]
        end = box[3] - int(rng.integers(0, max((box[3] - box[2]) // 3, 1)))
        while at < end:
            word = int(rng.integers(2, 9)) * max(line // 2, 1)
            stop = min(at + word, end)
            letters = rng.random((line, stop - at)) < .7
            patch = image[row:row + line, at:stop]
            patch[letters] = ink
            at += word + max(line // 2, 1)


def sheet(rng: np.random.Generator, paper: np.ndarray, blocks: int) -> np.ndarray:
    """Printed matter: blocks of colour, pictures and lines of text on paper."""
    out = np.tile(paper, (SIZE, SIZE, 1)).astype(float)
    for _ in range(blocks):
        r0, c0 = rng.integers(0, SIZE - 24, 2)
        r1, c1 = (min(SIZE, int(a + rng.integers(14, 80))) for a in (r0, c0))
        kind = rng.random()
        if kind < .35:
            out[r0:r1, c0:c1] = colour(rng, INKS)
        elif kind < .55:
            picture = shaded(colour(rng, (*INKS, *STONES, *GREENS)), 1 + .4 * noise(rng, 1.4))
            out[r0:r1, c0:c1] = picture[r0:r1, c0:c1]
        elif kind < .65:
            y, x = np.ogrid[:SIZE, :SIZE]
            out[np.hypot(y - r0 - 12, x - c0 - 12) < rng.uniform(6, 25)] = colour(rng, INKS)
        else:
            marks(rng, out, colour(rng, INKS), (r0, r1, c0, c1), int(rng.integers(2, 7)))
    return out

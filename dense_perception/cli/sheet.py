"""Rows of pictures with a title, headings and captions, on one page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from dense_perception import viz

TILE_WIDTH, TILE_HEIGHT = 400, 300
MARGIN = 12
_HEADER, _CAPTION, _FOOTER = 64, 24, 64

Tile = tuple[np.ndarray, str]
"""uint8 RGB (TILE_HEIGHT, TILE_WIDTH, 3) and its caption."""


def paint(title: str, columns: Sequence[str], rows: Sequence[Sequence[Tile]],
          legend: Callable[[np.ndarray], None]) -> np.ndarray:
    """The page: uint8 RGB.

    :param columns: heading of each column.
    :param rows: as many tiles as there are columns, in each.
    :param legend: draws into the strip below the rows, uint8 (height, width, 3).
    """
    height = _HEADER + len(rows) * (TILE_HEIGHT + _CAPTION) + _FOOTER
    width = MARGIN + len(columns) * (TILE_WIDTH + MARGIN)
    canvas = np.full((height, width, 3), viz.BACKGROUND, np.uint8)
    viz.text(canvas, title, (MARGIN, 26), 0.6)
    for column, name in enumerate(columns):
        viz.text(canvas, name, (_left(column), _HEADER - 10), 0.5, viz.FAINT)
    for row, tiles in enumerate(rows):
        top = _HEADER + row * (TILE_HEIGHT + _CAPTION)
        for column, (tile, caption) in enumerate(tiles):
            left = _left(column)
            canvas[top:top + TILE_HEIGHT, left:left + TILE_WIDTH] = tile
            viz.text(canvas, caption, (left, top + TILE_HEIGHT + 15), 0.4)
    legend(canvas[height - _FOOTER:])
    return canvas


def empty() -> np.ndarray:
    """A tile without a picture."""
    return np.full((TILE_HEIGHT, TILE_WIDTH, 3), viz.UNKNOWN, np.uint8)


def save(path: Path, image: np.ndarray) -> None:
    """Write an RGB picture; readers never see half of it."""
    unfinished = path.with_name(f'.{path.name}.part{path.suffix}')
    cv2.imwrite(str(unfinished), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    unfinished.replace(path)


def _left(column: int) -> int:
    return MARGIN + column * (TILE_WIDTH + MARGIN)

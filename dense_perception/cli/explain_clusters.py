"""The probability maps of a PolyMaX: which pixels each cluster claims, and what it stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from dense_perception import viz
from dense_perception.cli import sheet
from dense_perception.cli.sheet import TILE_HEIGHT, TILE_WIDTH, Tile
from dense_perception.inference.card import ModelCard

if TYPE_CHECKING:
    from dense_perception.models.polymax import PolyMaX

_COLUMNS = 4


def page(model: PolyMaX, card: ModelCard, image: np.ndarray,
         title: str) -> tuple[np.ndarray, str]:
    """A page with the image and, target by target, a map for each cluster; and a line about it.

    Black is a probability of 0, white the largest of the target's maps. Clusters are in the order
    of the depth, or the class, that they stand for; of normals in that of the direction from left
    to right.

    :param image: uint8 (height, width, 3) RGB.
    """
    seen, found = maps(model, card, image)
    rows: list[list[Tile]] = [_row([(_fit(seen), f'{seen.shape[1]}x{seen.shape[0]}, as the '
                                                 'network sees it')])]
    for name, (probabilities, values) in found.items():
        order = np.arange(len(probabilities)) if values is None else np.argsort(values[:, 0])
        most = max(float(probabilities.max()), 1e-6)
        tiles = [(_fit(_grey(probabilities[k] / most)),
                  f'{name} {k}: {_meaning(name, k, values, card)}, {probabilities[k].mean():.0%} '
                  'of the image') for k in order]
        rows += [_row(tiles[i:i + _COLUMNS]) for i in range(0, len(tiles), _COLUMNS)]
    lines = ', '.join(f'{name} has {len(p)} clusters, {_used(p)} of which are the likeliest '
                      'somewhere' for name, (p, _) in found.items())
    return sheet.paint(title, ('',) * _COLUMNS, rows, lambda strip: None), lines


def maps(model: PolyMaX, card: ModelCard, image: np.ndarray,
         ) -> tuple[np.ndarray, dict[str, tuple[np.ndarray, np.ndarray | None]]]:
    """What a PolyMaX sees, and of each target its clusters.

    :param image: uint8 (height, width, 3) RGB.
    :returns: uint8 (H, W, 3) RGB; by the target's name, probabilities float32 (K, h, w) at 1/4 of
        the network's size and values float32 (K, D), None where a cluster is a class. The mount
        is unknown.
    """
    from dense_perception.export.reference import TorchPredictor
    kept: dict[str, Any] = {}
    hooks = [decoder.register_forward_hook(
        lambda _, __, clusters, name=name: kept.update({name: clusters[-1]}))
        for name, decoder in model.decoders.items()]
    predictor = TorchPredictor(model, card)
    try:
        seen = predictor.predict(image).image
    finally:
        for hook in hooks:
            hook.remove()
    return seen, {
        name: (clusters.probabilities[0].float().cpu().numpy(),
               None if clusters.values is None else clusters.values[0].t().float().cpu().numpy())
        for name, clusters in kept.items()}


def _meaning(name: str, number: int, values: np.ndarray | None, card: ModelCard) -> str:
    if values is None:
        return card.classes[number].name if number < len(card.classes) else f'class {number}'
    if name == 'depth':
        # A depth over the camera's height is learnt as its logarithm.
        return (f'{np.exp(values[number, 0]):.2f} camera heights' if card.takes_mount
                else f'{values[number, 0]:.2f} m')
    return '(' + ', '.join(f'{value:.2f}' for value in values[number]) + ')'


def _used(probabilities: np.ndarray) -> int:
    return len(np.unique(probabilities.argmax(axis=0)))


def _row(tiles: list[Tile]) -> list[Tile]:
    blank = np.full((TILE_HEIGHT, TILE_WIDTH, 3), viz.BACKGROUND, np.uint8)
    return tiles + [(blank, '')] * (_COLUMNS - len(tiles))


def _fit(image: np.ndarray) -> np.ndarray:
    return viz.fit(image, TILE_WIDTH, TILE_HEIGHT, False)


def _grey(values: np.ndarray) -> np.ndarray:
    return cv2.cvtColor((255 * np.clip(values, 0, 1)).astype(np.uint8), cv2.COLOR_GRAY2RGB)

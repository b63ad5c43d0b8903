"""The sheet of an evaluation: outputs beside the truth, and where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from dense_perception import viz
from dense_perception.cli import sheet
from dense_perception.cli.evaluating.scores import Scores
from dense_perception.cli.mosaic import Mosaic, camera_tile, metric_limits
from dense_perception.cli.observer import Sample
from dense_perception.cli.sheet import TILE_HEIGHT, TILE_WIDTH, Tile
from dense_perception.cli.summary import like, protocol
from dense_perception.inference.card import ModelCard
from dense_perception.metrics.obstacles import compare

_NEARER, _RIGHT, _FARTHER = (40, 110, 230), (235, 235, 235), (225, 50, 40)
_UNSEEN, _FREE, _OBSTACLE = (38, 40, 46), (46, 84, 52), (225, 228, 232)
_FALSE_MARK, _FALSE_CLEAR, _MARK = (240, 150, 30), (225, 50, 200), (90, 120, 170)


class EvaluationSheet:
    """Camera, depth, true depth, error, and what there is of mask, true mask and obstacles."""

    def __init__(self, card: ModelCard, scores: Scores) -> None:
        self._mosaic = Mosaic(card.classes, protocol(card))
        self._scores = scores

    def paint(self, samples: Sequence[Sample], title: str) -> np.ndarray:
        """The page: uint8 RGB, one row per sample.

        :param samples: at least one.
        """
        limits = metric_limits([*map(_of_truth, samples), *samples])
        rows = [self._tiles(sample, limits) for sample in samples]
        columns = [name for name in rows[0] if any(row[name] is not None for row in rows)]
        return sheet.paint(
            title, columns, [[row[name] or (sheet.empty(), '') for name in columns]
                             for row in rows],
            lambda strip: self._mosaic.legend(strip, limits))

    def _tiles(self, sample: Sample,
               limits: tuple[float, float] | None) -> dict[str, Tile | None]:
        mosaic, truth = self._mosaic, _of_truth(sample)
        return {
            'camera': camera_tile(sample),
            'depth': mosaic.depth_tile(sample, limits) if sample.depth is not None else None,
            'true depth': mosaic.depth_tile(truth, limits) if truth.depth is not None else None,
            'error (blue: nearer, red: farther than it is)': _error_tile(sample),
            'mask': mosaic.mask_tile(sample) if sample.labels is not None else None,
            'true mask': mosaic.mask_tile(truth) if truth.labels is not None else None,
            'obstacles from above': self._obstacle_tile(sample)}

    def _obstacle_tile(self, sample: Sample) -> Tile | None:
        cells = self._scores.cells(sample)
        if cells is None:
            return None
        marked, occupied, free = cells
        wrong, missed = compare(marked, occupied, free)
        colours = np.full((*marked.shape, 3), _UNSEEN, np.uint8)
        for which, colour in ((free, _FREE), (marked, _MARK), (occupied, _OBSTACLE),
                              (wrong, _FALSE_MARK), (missed, _FALSE_CLEAR)):
            colours[which] = colour
        # The camera is at the bottom: the first row of cells is the nearest.
        tile = viz.fit(_with_edges(colours[::-1]), TILE_WIDTH, TILE_HEIGHT, crisp=True)
        return tile, (f'{occupied.sum()} obstacle cells (white), {missed.sum()} missed (pink); '
                      f'{wrong.sum()} of {free.sum()} free marked (orange)')


def _of_truth(sample: Sample) -> Sample:
    """The truth in the place of the outputs."""
    return replace(sample, depth=sample.true_depth, metric=True, labels=sample.true_labels,
                   true_depth=None, true_labels=None)


def _error_tile(sample: Sample) -> Tile | None:
    """Ratio of depth to truth, white where they agree, full colour from a factor of two on."""
    if sample.depth is None or sample.true_depth is None:
        return None
    depth, truth = like(sample.depth, sample.true_depth), sample.true_depth
    with np.errstate(invalid='ignore', divide='ignore'):
        both = np.isfinite(depth) & (depth > 0) & np.isfinite(truth) & (truth > 0)
        ratio = np.where(both, depth / truth, np.float32(1))
    caption = 'share within 25 %: '
    if not sample.metric and both.any():
        ratio = ratio / np.median(ratio[both])
        caption = f'after median scaling, {caption}'
    place = np.clip(np.log2(ratio), -1, 1)[..., None]
    ends = np.where(place < 0, np.float32(_NEARER), np.float32(_FARTHER))
    colours = np.float32(_RIGHT) + np.abs(place) * (ends - np.float32(_RIGHT))
    colours = np.where(both[..., None], colours, np.float32(viz.UNKNOWN)).astype(np.uint8)
    size = sample.image.shape[1::-1]
    tile = viz.fit(cv2.resize(colours, size, interpolation=cv2.INTER_NEAREST), TILE_WIDTH,
                   TILE_HEIGHT)
    close = np.mean(np.maximum(ratio, 1 / ratio)[both] < 1.25) if both.any() else float('nan')
    return tile, f'{caption}{close:.0%}'


def _with_edges(cells: np.ndarray, size: int = 16) -> np.ndarray:
    large = cells.repeat(size, 0).repeat(size, 1)
    large[::size] = large[:, ::size] = viz.BACKGROUND
    return large

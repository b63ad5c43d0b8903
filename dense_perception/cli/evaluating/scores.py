"""What the frames of a replay are worth, taken in one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from dense_perception import viz
from dense_perception.cli.observer import Sample
from dense_perception.cli.summary import like, protocol, rounded
from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.mount import Mount
from dense_perception.inference.card import ModelCard
from dense_perception.metrics import (
    DepthAccuracy,
    ObstacleAccuracy,
    ObstacleGrid,
    SegmentationAccuracy,
)

_DEPTH = ('abs_rel', 'd1', 'rmse', 'si_log', 'coverage')


class Scores:
    """Accuracy of depth, masks and obstacles.

    Depth is compared at the resolution of the truth, obstacles at that of the output.

    :param card: of the model that ran.
    :param calibrated: whether the recording has intrinsics: without, metres mean nothing.
    :param mount: the camera's, where it was given by hand; None = as the recording says.
    """

    def __init__(self, card: ModelCard, grid: ObstacleGrid, calibrated: bool,
                 mount: Mount | None) -> None:
        self._card = card
        self._grid = grid
        self._calibrated = calibrated
        self._mount = mount
        self._metric = DepthAccuracy(protocol(card))
        self._aligned: dict[str, DepthAccuracy] = {}
        self._masks = SegmentationAccuracy(max((c.id for c in card.classes), default=0) + 1)
        self._obstacles = ObstacleAccuracy()
        self.frames = 0
        """Frames with truth of any kind."""

    def add(self, sample: Sample) -> None:
        """Take in one frame; what it lacks is left out."""
        if sample.depth is not None and sample.true_depth is not None:
            self._add_depth(sample, like(sample.depth, sample.true_depth), sample.true_depth)
        if sample.labels is not None and sample.true_labels is not None:
            self._masks.add(like(sample.labels, sample.true_labels), sample.true_labels)
        cells = self.cells(sample)
        if cells is not None:
            self._obstacles.add(*cells)
        self.frames += sample.true_depth is not None or sample.true_labels is not None

    def cells(self, sample: Sample) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Cells that the depth marks, and the truth's occupied and free ones, or None.

        None without metric depth, truth or mount.
        """
        mount = self._mount or sample.mount
        if not (self._calibrated and sample.metric and mount and sample.intrinsics) \
                or sample.depth is None or sample.true_depth is None:
            return None
        marked, _ = self._classify(sample.depth, sample.intrinsics, mount)
        occupied, free = self._classify(like(sample.true_depth, sample.depth),
                                        sample.intrinsics, mount)
        return marked, occupied, free

    def result(self) -> dict[str, Any]:
        """Every number; None where nothing could be compared."""
        depth = {name: _rounded(accuracy.result())
                 for name, accuracy in self._aligned.items()}
        masks = self._masks.result()
        iou = {c.name: rounded(float(value)) for c in self._card.classes
               if np.isfinite(value := self._masks.iou()[c.id])}
        return {
            'depth_metric': _rounded(self._metric.result()),
            'depth_aligned': depth or None,
            'segmentation': masks and {**{k: rounded(v) for k, v in masks.items()}, 'iou': iou},
            'obstacles': {k: rounded(v) for k, v in self._obstacles.result().items()}
            if self._obstacles.free + self._obstacles.occupied else None}

    def _add_depth(self, sample: Sample, depth: np.ndarray, truth: np.ndarray) -> None:
        if sample.metric and self._calibrated:
            self._metric.add(depth, truth)
        alignment = 'median'
        if not sample.metric and self._card.depth_convention != 'metric':
            alignment = protocol(self._card).of_convention(
                str(self._card.depth_convention)).alignment
        self._aligned.setdefault(alignment, DepthAccuracy(replace(
            protocol(self._card), alignment=alignment))).add(depth, truth)

    def _classify(self, depth: np.ndarray, intrinsics: Intrinsics,
                  mount: Mount) -> tuple[np.ndarray, np.ndarray]:
        across, down = intrinsics.ray_slopes()
        z = np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(np.nan))
        right, _, ahead = (row[0] * z * across + row[1] * z * down[:, None] + row[2] * z
                           for row in viz.level_axes(mount.down))
        return self._grid.classify(ahead, right, mount.height - z * mount.descent(intrinsics))


def _rounded(result: dict[str, float] | None) -> dict[str, float | None] | None:
    return result and {name: rounded(result[name]) for name in _DEPTH}

"""What the frames of a replay are worth, taken in one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
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

    Depth and masks are compared at the resolution of the truth.

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
        """Cells that ``depth/obstacles`` marks, and the truth's occupied and free ones.

        None without obstacles, truth or mount.
        """
        mount, camera = self._mount or sample.mount, sample.intrinsics
        if not (self._calibrated and mount and camera) or sample.obstacles is None \
                or sample.true_depth is None:
            return None
        to_level = np.float32(viz.level_axes(mount.down))
        points = np.stack([sample.obstacles[axis].ravel() for axis in 'xyz'])
        right, _, ahead = to_level @ points
        # The truth at the resolution of the output, so that as many points speak for a cell.
        z = cv2.resize(sample.true_depth, (camera.width, camera.height),
                       interpolation=cv2.INTER_NEAREST_EXACT)
        return (self._grid.marked(ahead, right), *self._truth(z, camera, mount, to_level))

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

    def _truth(self, depth: np.ndarray, camera: Intrinsics, mount: Mount,
               to_level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        z = np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(np.nan))
        x, y = camera.ray_slopes()
        right, below, ahead = np.tensordot(to_level, np.stack([z * x, z * y[:, None], z]), 1)
        return self._grid.truth(ahead, right, mount.height - below)


def _rounded(result: dict[str, float] | None) -> dict[str, float | None] | None:
    return result and {name: rounded(result[name]) for name in _DEPTH}

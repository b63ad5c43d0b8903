"""What flying-pixel filter and ground split do to frames whose truth is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import cv2
import numpy as np

from dense_perception.cli.command import CommandError
from dense_perception.geometry.cloud import within
from dense_perception.geometry.depth_edges import SCALES, FlyingPixels
from dense_perception.geometry.ground import (
    GROUND,
    OBSTACLE,
    GroundSplit,
    HeightLimits,
    fit_ground,
)
from dense_perception.inference.model_file import ModelFileError
from dense_perception.inference.prediction import Prediction
from dense_perception.inference.predictor import Predictor
from dense_perception.metrics.surfaces import as_predicted, flying, smeared
from dense_perception.ros.cloud_settings import CloudSettings, ground_split
from dense_perception.sources.base import Frame, SourceError
from dense_perception.sources.opening import open_source

EVERY = 5
"""Of the frames with truth; neighbours are too much alike to count twice."""

_GRAZING_M = 4.0  # ground beyond counts as seen at a grazing angle


def quality(source: str, model: str, frames: int) -> dict[str, Any]:
    """Figures over frames of a source, each pixel of each frame counting once.

    ``flying``: see :class:`FlyingCount`, for truth enlarged from half and quarter resolution and
    for the model's own depth. ``split``: see :class:`SplitCount`, for each way to tell ground
    from obstacles. The ids in the true masks have to mean the model's classes.
    """
    try:
        examiner = _Examiner(Predictor(model))
        opened = open_source(source)
        for frame in islice(_with_truth(opened.frames()), 0, EVERY * frames, EVERY):
            examiner.add(frame)
    except (ModelFileError, SourceError) as error:
        raise CommandError(str(error)) from None
    if not examiner.frames:
        raise CommandError(f'source "{source}" has no frame with true depth, labels and mount')
    return {'source': source, 'model': model, 'frames': examiner.frames} | examiner.result()


class FlyingCount:
    """Shares of pixels before and after the filter, in percent.

    ``before``, ``after``: flying pixels among those with depth; ``kept``: of those that do not
    fly, how many stay; ``ground_kept``: likewise of ground beyond 4 m.
    """

    def __init__(self, find: Callable[[np.ndarray], np.ndarray]) -> None:
        self._find = find
        self._sums = np.zeros(8)

    def add(self, depth: np.ndarray, surfaces: np.ndarray, far_ground: np.ndarray) -> None:
        """Count one frame: its depth, where its surfaces are, and ground beyond 4 m (bool)."""
        bad = flying(depth, surfaces)
        known = within(depth) > 0
        kept = known & (self._find(depth) == 0)
        good = known & ~bad
        grazing = good & far_ground
        self._sums += [np.count_nonzero(mask) for mask in (
            bad, known, bad & kept, kept, good, good & kept, grazing, grazing & kept)]

    def result(self) -> dict[str, float | None]:
        """The shares; None where there is nothing to count."""
        parts = self._sums.reshape(4, 2)
        names = ('before', 'after', 'kept', 'ground_kept')
        pairs = [(parts[0, 0], parts[0, 1]), (parts[1, 0], parts[1, 1]),
                 (parts[2, 1], parts[2, 0]), (parts[3, 1], parts[3, 0])]
        return {name: _percent(*pair) for name, pair in zip(names, pairs)}


class SplitCount:
    """What became of true ground and of true obstacles, in percent of the pixels of each.

    An obstacle is what is not ground and between 0.1 and 2 m above it, by the true depth.
    ``false_mark``: ground that became an obstacle; ``ground_found``; ``false_clear``: obstacles
    that became ground; ``obstacles_found``. The rest became neither.
    """

    def __init__(self) -> None:
        self._sums = np.zeros(6)
        self.used = False

    def add(self, kinds: np.ndarray, ground: np.ndarray, obstacles: np.ndarray) -> None:
        """Count one frame: what was found, and the true masks (bool)."""
        self.used = True
        self._sums += [np.count_nonzero(mask) for mask in (
            ground, ground & (kinds == OBSTACLE), ground & (kinds == GROUND),
            obstacles, obstacles & (kinds == GROUND), obstacles & (kinds == OBSTACLE))]

    def result(self) -> dict[str, float | None]:
        """The shares; None where there is nothing to count."""
        ground, marked, found, obstacles, cleared, stood = self._sums
        return {'false_mark': _percent(marked, ground), 'ground_found': _percent(found, ground),
                'false_clear': _percent(cleared, obstacles),
                'obstacles_found': _percent(stood, obstacles)}


def ratio_test(depth: np.ndarray) -> np.ndarray:
    """What is usually done: farthest over nearest within 3 x 3 above 1.1; uint8, 255 = flying."""
    filled = np.where(within(depth) > 0, depth, np.float32(1e3))
    window = np.ones((3, 3), np.uint8)
    return cv2.inRange(cv2.dilate(filled, window) / cv2.erode(filled, window), 1.1, np.inf)


def bend_test(depth: np.ndarray) -> np.ndarray:
    """Second differences of inverse depth alone, above 5 %; uint8, 255 = flying."""
    inverse = np.where(within(depth) > 0, 1 / np.where(within(depth) > 0, depth, 1), 0)
    padded = np.pad(inverse, 1, mode='edge')
    across = np.abs(padded[1:-1, 2:] + padded[1:-1, :-2] - 2 * inverse)
    along = np.abs(padded[2:, 1:-1] + padded[:-2, 1:-1] - 2 * inverse)
    return np.where(np.maximum(across, along) > 0.05 * inverse, np.uint8(255), np.uint8(0))


def _counts() -> dict[str, FlyingCount]:
    return {'this filter': FlyingCount(FlyingPixels().find),
            'looking 8 pixels far as well': FlyingCount(FlyingPixels((*SCALES, 8)).find),
            'ratio within 3 x 3': FlyingCount(ratio_test),
            'second differences': FlyingCount(bend_test)}


class _Examiner:
    """Adds up the figures of one model, frame by frame."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        settings = CloudSettings()
        self._by_class = ground_split(predictor.card, settings.ground, settings.ignored)
        self._enlarged = {2: _counts(), 4: _counts()}
        self._predicted = _counts()
        self._splits = {name: SplitCount() for name in (
            'class', 'height, from the mount', 'class and height, from the mount',
            'height, fitted', 'class and height, fitted')}
        self.frames = 0

    def add(self, frame: Frame) -> None:
        """Count one frame with depth, labels and mount."""
        assert frame.depth is not None and frame.labels is not None
        self.frames += 1
        far = self._is_ground(frame.labels) & (frame.depth > _GRAZING_M)
        for factor, counts in self._enlarged.items():
            for count in counts.values():
                count.add(smeared(frame.depth, factor), frame.depth, far)
        prediction = self._predictor.predict(frame.image, frame.intrinsics, frame.mount)
        if prediction.depth is None or not prediction.metric:
            return
        truth, labels = (cv2.resize(array, prediction.depth.shape[::-1],
                                    interpolation=cv2.INTER_NEAREST_EXACT)
                         for array in (frame.depth, frame.labels))
        surfaces = as_predicted(prediction.depth, truth, labels)
        for count in self._predicted.values():
            count.add(prediction.depth, surfaces, self._is_ground(labels) & (truth > _GRAZING_M))
        self._add_splits(frame, prediction, truth, labels)

    def result(self) -> dict[str, Any]:
        """All figures by their names."""
        kinds = {f'truth, enlarged from 1/{factor}': counts
                 for factor, counts in self._enlarged.items()}
        kinds[f'depth of {self._predictor.card.name}'] = self._predicted
        return {'flying': {f'{kind}: {rival}': count.result() for kind, counts in kinds.items()
                           for rival, count in counts.items()},
                'split': {name: c.result() for name, c in self._splits.items() if c.used}}

    def _is_ground(self, labels: np.ndarray) -> np.ndarray:
        everywhere = np.full(labels.shape, 255, np.uint8)
        return self._by_class.candidates(labels, everywhere) > 0

    def _add_splits(self, frame: Frame, prediction: Prediction, truth: np.ndarray,
                    labels: np.ndarray) -> None:
        depth, mount, limits = prediction.depth, frame.mount, HeightLimits()
        assert depth is not None and mount is not None
        if not self._by_class.knows_classes or prediction.labels is None:
            return
        camera = frame.intrinsics.resized(*depth.shape[::-1])
        above = mount.height - truth * mount.descent(camera)
        is_ground, seen = self._is_ground(labels), np.isfinite(truth)
        obstacles = seen & ~is_ground & (above > limits.low) & (above <= limits.high)
        keep, by_height = within(depth), GroundSplit()
        likely = self._by_class.candidates(prediction.labels, keep)
        ways = ((self._by_class, None), (by_height, mount), (self._by_class, mount),
                (by_height, fit_ground(depth, camera, keep)),
                (self._by_class, fit_ground(depth, camera, likely)))
        for count, (split, plane) in zip(self._splits.values(), ways):
            kinds = split.split(depth, keep, camera, prediction.labels, plane, limits)
            count.add(np.zeros_like(keep) if kinds is None else kinds, seen & is_ground, obstacles)


def _with_truth(frames: Iterator[Frame]) -> Iterator[Frame]:
    return (f for f in frames if f.depth is not None and f.labels is not None
            and f.mount is not None and f.distortion is None)


def _percent(part: float, whole: float) -> float | None:
    return round(100 * part / whole, 2) if whole else None

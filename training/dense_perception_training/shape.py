"""The shape of predicted depth: where it steps, what hangs in the air, does its scale drift."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from dense_perception.inference.prediction import Prediction
from dense_perception.inference.predictor import Predictor
from dense_perception.metrics.boundaries import BoundaryAccuracy
from dense_perception.metrics.surfaces import as_predicted, flying
from dense_perception.world.drive import Leg, drive
from dense_perception_training.sample import Sample

DRIVES = ('room', 'corridor', 'hall', 'street', 'yard', 'room', 'hall', 'street')
"""Kinds of scene that a drive leads through, eight seconds each."""

_SECONDS, _RATE = 8.0, 5.0


@dataclass
class Shape:
    """Takes in predictions of metric or relative depth and truths at network size.

    ``flying_share``: of the pixels with depth, those that hang between two surfaces, which are
    taken where the prediction sees them (``metrics.surfaces``). ``dbe_acc``, ``dbe_com``: depth
    boundary errors in pixels of the prediction (``metrics.boundaries``).
    """

    _flying: int = 0
    _pixels: int = 0
    _boundaries: BoundaryAccuracy = field(default_factory=BoundaryAccuracy)

    def add(self, prediction: Prediction, sample: Sample) -> None:
        """Take in one image with true depth."""
        depth = prediction.depth
        if depth is None or sample.depth is None:
            return
        size = depth.shape[::-1]
        truth, labels = (m if m is None or m.shape == depth.shape else cv2.resize(
            m, size, interpolation=cv2.INTER_NEAREST_EXACT) for m in (sample.depth, sample.labels))
        self._boundaries.add(depth, truth)
        known = np.isfinite(depth) & (depth > 0)
        self._pixels += int(known.sum())
        self._flying += int(flying(depth, as_predicted(depth, truth, labels)).sum())

    def result(self) -> dict[str, float] | None:
        """The figures; None if there was no depth."""
        if not self._pixels:
            return None
        return {'flying_share': self._flying / self._pixels, **(self._boundaries.result() or {})}


def scale_drift(predictor: Predictor, drives: int) -> dict[str, float] | None:
    """How steady the scale is while a robot drives: of ln(median(predicted / true)) by frame.

    ``scale_bias``: its mean; ``scale_between_scenes``: standard deviation of its mean by scene;
    ``scale_within_scene``: root mean square of its standard deviation within each;
    ``scale_frame_to_frame``: median change from one frame to the next, 0.2 s later.

    :param drives: number of scenes, in the order of :data:`DRIVES`, again and again.
    :return: None for a model without depth.
    :raises RenderError: OpenGL cannot be started off-screen.
    """
    if not predictor.has_depth:
        return None
    scenes = []
    for number in range(drives):
        leg = Leg(number, DRIVES[number % len(DRIVES)], _SECONDS)
        height, width = predictor.card.input_size
        scales = []
        for frame in drive(1, width, height, _RATE, legs=[leg]):
            found = predictor.predict(frame.image, frame.intrinsics, frame.mount).depth
            ratio = found / frame.depth
            scales.append(float(np.log(np.median(ratio[np.isfinite(ratio) & (ratio > 0)]))))
        scenes.append(np.array(scales))
    return {
        'scale_bias': float(np.mean([s.mean() for s in scenes])),
        'scale_between_scenes': float(np.std([s.mean() for s in scenes])),
        'scale_within_scene': float(np.sqrt(np.mean([s.var() for s in scenes]))),
        'scale_frame_to_frame': float(np.median(np.concatenate(
            [np.abs(np.diff(s)) for s in scenes])))}

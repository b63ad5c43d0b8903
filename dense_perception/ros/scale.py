"""Where metres come from when the model gives none: the ground, or sparse metric points."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from rclpy.node import Node
from std_msgs.msg import Header

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.scale import (
    Alignment,
    AlignmentError,
    align,
    ground_samples,
    point_samples,
)
from dense_perception.geometry.scale_filter import ScaleFilter
from dense_perception.inference.card import OUTPUT_DEPTH, ModelCard
from dense_perception.inference.prediction import Prediction
from dense_perception.ros.cloud_settings import class_ids
from dense_perception.ros.mount import MountReading
from dense_perception.ros.parameters import Declaration, Parameters
from dense_perception.ros.scale_points import PointsUnavailable, ScalePoints
from dense_perception.ros.stamps import frame_seconds
from dense_perception.ros.transforms import Transforms

GROUND, POINTS = 'ground', 'points'

PARAMETERS = (
    Declaration('scale.source', 'auto', 'What relative depth is scaled to: ground = the ground, '
                "from the camera's mount; points = the topic scale_points; auto = points, else "
                'ground; none = it stays relative. auto leaves metric depth as it is, ground and '
                'points scale it too.', choices=('auto', GROUND, POINTS, 'none')),
    Declaration('scale.min_inliers', 0.5, 'Share of the ground pixels or points that must agree '
                'with a scale.', minimum=0.05, maximum=1.0, dynamic=True),
    Declaration('scale.smoothing', 0.0, 'Time constant in seconds of a mean of scale and shift; '
                '0 = each frame has its own.', minimum=0.0, maximum=60.0),
    Declaration('scale.hold', 0.5, 'Seconds for which the last scale stays in use when none can '
                'be found.', minimum=0.0, maximum=3600.0),
    Declaration('scale.max_age', 0.3, 'Seconds by which points may be older or newer than the '
                'image.', minimum=0.0, maximum=60.0, dynamic=True))


@dataclass(frozen=True)
class ScaleReading:
    """What made the depth of a frame metric, or why nothing did.

    ``source``: ground or points; empty if no scale was applied. ``problem``: why there is none,
    or why an earlier one was used; empty if all is well or none was asked for.
    """

    source: str = ''
    problem: str = ''
    alignment: Alignment | None = None
    drift: float = 0.0


class Scaler:
    """Makes depth metric by the source that ``scale.source`` names.

    ``reading`` tells what it did with the last frame.

    :param transforms: where TF comes from.
    """

    def __init__(self, node: Node, parameters: Parameters, card: ModelCard,
                 transforms: Transforms) -> None:
        self._parameters = parameters
        self._card = card
        names = _sources(parameters) if may_scale(parameters, card) else ()
        self._filters = {name: ScaleFilter(parameters['scale.smoothing'], parameters['scale.hold'])
                         for name in names}
        self._points = ScalePoints(node, transforms) if POINTS in self._filters else None
        self.reading = ScaleReading()

    def listen(self, wanted: bool) -> None:
        """Follow the publishers of scale_points, or stop; to be called twice a second."""
        if self._points is not None:
            self._points.listen(wanted)

    def forget(self) -> None:
        """Time runs backwards: points of another time do not count any more."""
        if self._points is not None:
            self._points.forget()

    def apply(self, prediction: Prediction, header: Header, intrinsics: Intrinsics | None,
              mount: MountReading) -> Prediction:
        """The prediction with metric depth if a source gives its scale, else with relative depth.

        :param intrinsics: of the image, at any size.
        """
        automatic = self._parameters['scale.source'] == 'auto'
        if prediction.depth is None or not self._filters or automatic and prediction.metric:
            self.reading = ScaleReading()
            return prediction
        start = time.perf_counter()
        self.reading = self._read(prediction, header, intrinsics, mount)
        alignment = self.reading.alignment
        depth = alignment.depth(prediction.depth) if alignment else prediction.depth
        stage_ms = prediction.stage_ms | {'scale': 1e3 * (time.perf_counter() - start)}
        return replace(prediction, depth=depth, metric=alignment is not None, stage_ms=stage_ms)

    def describe(self) -> dict[str, str]:
        """Diagnostics values of the last frame's scale."""
        reading = self.reading
        values = {'scale_source': reading.source or 'none'}
        if reading.alignment is not None:
            found = reading.alignment
            values |= {'scale': f'{found.scale:.5g}', 'scale_shift': f'{found.shift:.5g}',
                       'scale_inliers': f'{found.inliers:.2f}',
                       'scale_residual': f'{found.residual:.3f}',
                       'scale_samples': str(found.samples),
                       'scale_drift_percent': f'{100 * reading.drift:.1f}'}
        return values

    def _read(self, prediction: Prediction, header: Header, intrinsics: Intrinsics | None,
              mount: MountReading) -> ScaleReading:
        if intrinsics is None:
            return ScaleReading(problem='the intrinsics are unknown')
        height, width = prediction.depth.shape
        seen_by = intrinsics.resized(width, height)
        problems = []
        for source, smoother in self._filters.items():
            try:
                samples = self._to_points(prediction, header, seen_by) if source == POINTS \
                    else self._to_ground(prediction, seen_by, mount)
                convention = self._card.depth_convention
                ambiguity = 'scale' if convention == 'metric' else convention
                found: Alignment | str = align(
                    *samples, ambiguity, self._parameters['scale.min_inliers'],
                    nothing_beyond=source == GROUND)
            except (AlignmentError, PointsUnavailable) as error:
                found = str(error)
            scaling = smoother.update(found, frame_seconds(header.stamp))
            if scaling.alignment is not None:
                return ScaleReading(source, scaling.problem and f'{source}: {scaling.problem}',
                                    scaling.alignment, smoother.drift)
            problems.append(f'{source}: {scaling.problem}')
        return ScaleReading(problem='; '.join(problems))

    def _to_points(self, prediction: Prediction, header: Header,
                   intrinsics: Intrinsics) -> tuple[np.ndarray, np.ndarray]:
        points = self._points.at(header, self._parameters['scale.max_age'])
        return point_samples(prediction.depth, intrinsics, points)

    def _to_ground(self, prediction: Prediction, intrinsics: Intrinsics,
                   reading: MountReading) -> tuple[np.ndarray, np.ndarray]:
        if reading.mount is None:
            raise AlignmentError(f"the camera's mount is unknown ({reading.problem})")
        ground = None
        ids = class_ids(self._card, self._parameters['obstacles.ground_classes'])
        if ids and prediction.labels is not None:
            is_ground = np.zeros(256, bool)
            is_ground[list(ids)] = True
            ground = is_ground[prediction.labels]
        return ground_samples(prediction.depth, intrinsics, reading.mount, ground)


def may_scale(parameters: Parameters, card: ModelCard) -> bool:
    """Whether the depth of a model may become metric, or lose that, by ``scale.source``."""
    relative = card.depth_convention != 'metric' or card.takes_mount
    return OUTPUT_DEPTH in card.outputs and bool(_sources(parameters)) and (
        relative or parameters['scale.source'] != 'auto')


def needs_transforms(parameters: Parameters, card: ModelCard) -> bool:
    """Whether a Scaler with these parameters may look something up in TF."""
    return may_scale(parameters, card) and POINTS in _sources(parameters)


def _sources(parameters: Parameters) -> tuple[str, ...]:
    """The sources in the order in which they are tried."""
    source = parameters['scale.source']
    return {'auto': (POINTS, GROUND), 'none': ()}.get(source, (source,))

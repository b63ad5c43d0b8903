"""One frame from pixels to arrays at output resolution."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.cloud import CloudBuilder
from dense_perception.geometry.mount import Mount
from dense_perception.inference.card import UNLABELLED
from dense_perception.inference.prediction import Prediction
from dense_perception.inference.predictor import Predictor


@dataclass(frozen=True)
class Result:
    """Arrays of one frame, all at output resolution (H, W); what is absent is None.

    ``depth``: float32, metres along z if ``metric`` else relative; NaN = unknown.
    ``labels``, ``confidence``: uint8. ``points``: structured (H, W), only with metric depth and
    known intrinsics, overwritten by the next frame. ``stage_ms``: in the order they ran.
    """

    width: int
    height: int
    depth: np.ndarray | None
    labels: np.ndarray | None
    confidence: np.ndarray | None
    metric: bool
    points: np.ndarray | None
    stage_ms: dict[str, float]


class Pipeline:
    """Predicts a frame and brings the prediction to output size, with a cloud where asked.

    :param output_size: ``model`` (network resolution) or ``camera`` (the image's resolution, by
        nearest neighbour: a depth between two surfaces would be a point in the air).
    """

    def __init__(self, predictor: Predictor, output_size: str) -> None:
        self._predictor = predictor
        self._at_camera_size = output_size == 'camera'
        self._cloud = CloudBuilder()

    def rectified_size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) that a rectified image of this size is best handed in with.

        At network size nothing is left to resize; outputs at camera size need the whole image, and
        so does a network that was trained on another interpolation than rectification's.
        """
        if self._at_camera_size or self._predictor.card.interpolation != 'linear':
            return width, height
        height, width = self._predictor.card.input_size
        return width, height

    def run(self, pixels: np.ndarray, colour_order: str, intrinsics: Intrinsics | None,
            mount: Mount | None, with_points: bool, max_range: float,
            scaling: Callable[[Prediction], Prediction],
            seen: np.ndarray | None = None) -> Result:
        """Predict one image.

        :param pixels: uint8 (height, width, 3).
        :param colour_order: of ``pixels``, ``rgb`` or ``bgr``.
        :param intrinsics: of ``pixels``; None = unknown.
        :param with_points: build the cloud too.
        :param max_range: depth in metres beyond which the cloud has no point; 0 = no limit.
        :param scaling: makes the depth of a prediction metric where it can.
        :param seen: bool (height, width), where ``pixels`` show something; None = everywhere.
            Elsewhere nothing is known, whatever the network made of it.
        """
        prediction = self._predictor.predict(pixels, intrinsics, mount, colour_order)
        prediction = scaling(prediction if seen is None else _without_unseen(prediction, seen))
        start = time.perf_counter()
        height, width = (pixels.shape[:2] if self._at_camera_size
                         else self._predictor.card.input_size)
        depth, labels, confidence = (
            _nearest(array, width, height)
            for array in (prediction.depth, prediction.labels, prediction.confidence))
        points = None
        if with_points and prediction.metric and depth is not None and intrinsics is not None:
            rgb = (_as_rgb(pixels, colour_order) if self._at_camera_size
                   else self._predictor.network_image)
            near = depth if max_range == 0 else np.where(depth <= max_range, depth,
                                                         np.float32(np.nan))
            points = self._cloud.build(near, intrinsics.resized(width, height), rgb, labels,
                                       confidence)
        stage_ms = prediction.stage_ms | {'geometry': 1e3 * (time.perf_counter() - start)}
        return Result(width, height, depth, labels, confidence, prediction.metric, points,
                      stage_ms)


def _without_unseen(prediction: Prediction, seen: np.ndarray) -> Prediction:
    """The prediction where all of a pixel is seen; elsewhere it is unknown."""
    def masked(array: np.ndarray | None, unknown: float) -> np.ndarray | None:
        if array is None:
            return None
        height, width = array.shape[:2]
        whole = seen if seen.shape == (height, width) else cv2.resize(
            seen.view(np.uint8) * 255, (width, height), interpolation=cv2.INTER_AREA) == 255
        return np.where(whole if array.ndim == 2 else whole[..., None], array,
                        array.dtype.type(unknown))

    return replace(prediction, depth=masked(prediction.depth, np.nan),
                   labels=masked(prediction.labels, UNLABELLED),
                   confidence=masked(prediction.confidence, 0),
                   normals=masked(prediction.normals, np.nan))


def _nearest(array: np.ndarray | None, width: int, height: int) -> np.ndarray | None:
    if array is None or array.shape == (height, width):
        return array
    # NEAREST_EXACT keeps pixel centres where the half-pixel rule puts them; NEAREST does not.
    return cv2.resize(array, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)


def _as_rgb(pixels: np.ndarray, colour_order: str) -> np.ndarray:
    return pixels if colour_order == 'rgb' else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)

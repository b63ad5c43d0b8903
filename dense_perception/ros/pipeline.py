"""One frame from pixels to arrays at output resolution."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.mount import Mount
from dense_perception.inference.batches import Frame
from dense_perception.inference.card import UNLABELLED
from dense_perception.inference.prediction import Prediction
from dense_perception.inference.predictor import Predictor
from dense_perception.ros.cloud_settings import REMOVE, CloudSettings
from dense_perception.ros.cloud_stage import Clouds, CloudStage, Judgement, Wants, resized


@dataclass(frozen=True)
class Result:
    """Arrays of one frame, all at output resolution (H, W); what is absent is None.

    ``image``: uint8 (H, W, 3) RGB. ``depth``: float32, metres along z if ``metric`` else relative;
    NaN = unknown. ``labels``, ``confidence``: uint8. ``normals``: float32 (H, W, 3), optical
    frame. ``alpha``: float32, 0..1. ``clouds``: those that were wanted, with metric depth and
    known intrinsics. ``stage_ms``: in the order they ran.
    """

    image: np.ndarray
    depth: np.ndarray | None
    labels: np.ndarray | None
    confidence: np.ndarray | None
    normals: np.ndarray | None
    alpha: np.ndarray | None
    metric: bool
    clouds: Clouds
    stage_ms: dict[str, float]

    @property
    def width(self) -> int:
        """Columns of every array."""
        return self.image.shape[1]

    @property
    def height(self) -> int:
        """Rows of every array."""
        return self.image.shape[0]


class Pipeline:
    """Predicts a frame and brings the prediction to output size, with clouds where asked.

    :param output_size: ``model`` (network resolution) or ``camera`` (the image's resolution, by
        nearest neighbour: a depth between two surfaces would be a point in the air).
    """

    def __init__(self, predictor: Predictor, output_size: str) -> None:
        self._predictor = predictor
        self._at_camera_size = output_size == 'camera'
        self._clouds = CloudStage(predictor.card)

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
            mount: Mount | None, wants: Wants, settings: CloudSettings,
            scaling: Callable[[Prediction], Prediction],
            seen: np.ndarray | None = None) -> Frame[Result]:
        """Predict one image, as a frame that is run alone or together with others.

        :param pixels: uint8 (height, width, 3).
        :param colour_order: of ``pixels``, ``rgb`` or ``bgr``.
        :param intrinsics: of ``pixels``; None = unknown.
        :param wants: the clouds to build.
        :param scaling: makes the depth of a prediction metric where it can.
        :param seen: bool (height, width), where ``pixels`` show something; None = everywhere.
            Elsewhere nothing is known, whatever the network made of it.
        """
        prediction = yield from self._predictor.predicting(
            pixels, intrinsics, mount, colour_order)
        prediction = scaling(prediction if seen is None else _without_unseen(prediction, seen))
        start = time.perf_counter()
        image = (_as_rgb(pixels, colour_order) if self._at_camera_size
                 else prediction.image)
        judgement = Judgement()
        if prediction.metric and prediction.depth is not None:
            judgement = self._clouds.judge(prediction, intrinsics, mount, wants, settings)
            if settings.flying_pixels == REMOVE:
                prediction = replace(prediction, depth=np.where(
                    judgement.flying, np.float32(np.nan), prediction.depth))
        shown = _at_size(prediction, image.shape[:2])
        clouds = self._clouds.build(judgement, shown, image, intrinsics, wants, settings)
        stage_ms = prediction.stage_ms | {'geometry': 1e3 * (time.perf_counter() - start)}
        return Result(image, shown.depth, shown.labels, shown.confidence, shown.normals,
                      shown.alpha, shown.metric, clouds, stage_ms)


def _at_size(prediction: Prediction, size: tuple[int, int]) -> Prediction:
    return replace(prediction, depth=resized(prediction.depth, size),
                   labels=resized(prediction.labels, size),
                   confidence=resized(prediction.confidence, size),
                   normals=resized(prediction.normals, size),
                   alpha=resized(prediction.alpha, size, cv2.INTER_LINEAR))


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
                   normals=masked(prediction.normals, np.nan),
                   alpha=masked(prediction.alpha, 0))


def _as_rgb(pixels: np.ndarray, colour_order: str) -> np.ndarray:
    return pixels if colour_order == 'rgb' else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)

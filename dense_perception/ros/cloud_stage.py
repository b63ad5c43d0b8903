"""The clouds of one frame: which pixels become points, and which of them are ground."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.cloud import CloudBuilder, every_nth, select, within
from dense_perception.geometry.depth_edges import FlyingPixels
from dense_perception.geometry.ground import GROUND, OBSTACLE, fit_ground
from dense_perception.geometry.mount import Mount
from dense_perception.inference.card import ModelCard
from dense_perception.inference.prediction import Prediction
from dense_perception.ros.cloud_settings import CloudSettings, ground_split


@dataclass(frozen=True)
class Wants:
    """Which clouds somebody wants."""

    points: bool = False
    obstacles: bool = False
    ground: bool = False

    @property
    def split(self) -> bool:
        """Whether ground and obstacles have to be told apart."""
        return self.obstacles or self.ground


@dataclass(frozen=True)
class Clouds:
    """Structured arrays of ``geometry.cloud.point_dtype``; what is absent is None.

    ``points``: (H, W), overwritten by the next frame. ``obstacles``, ``ground``: (1, N), without
    unknown points. ``split_failed``: the last two were wanted, but there is no telling.
    """

    points: np.ndarray | None = None
    obstacles: np.ndarray | None = None
    ground: np.ndarray | None = None
    split_failed: bool = False


class CloudStage:
    """Builds the clouds of one frame; its buffers are reused.

    Pixels are judged at network resolution, where depth was predicted: enlarged by nearest
    neighbour it is made of steps, which no test of edges or planes understands.
    """

    def __init__(self, card: ModelCard) -> None:
        self._card = card
        self._flying = FlyingPixels()
        self._builder = CloudBuilder()
        self._split_key: tuple = ()
        self._split = ground_split(card, (), ())

    def run(self, prediction: Prediction, image: np.ndarray, intrinsics: Intrinsics | None,
            mount: Mount | None, wants: Wants,
            settings: CloudSettings) -> tuple[np.ndarray, Clouds]:
        """Depth to publish, at network size, and the clouds.

        :param prediction: with metric depth.
        :param image: uint8 (H, W, 3) RGB at output size, which the points get.
        :param intrinsics: of the camera's image; None = unknown: no clouds.
        """
        depth = prediction.depth
        assert depth is not None
        clouds_wanted = intrinsics is not None and (wants.points or wants.split)
        flying = self._flying.find(depth) if settings.filter_depth or (
            clouds_wanted and settings.filter_cloud) else None
        clouds = Clouds()
        if clouds_wanted:
            keep = self._keep(prediction, flying if settings.filter_cloud else None, settings)
            assert intrinsics is not None
            clouds = self._build(prediction, keep, image, intrinsics, mount, wants, settings)
        if flying is not None and settings.filter_depth:
            depth = np.where(flying, np.float32(np.nan), depth)
        return depth, clouds

    def _keep(self, prediction: Prediction, flying: np.ndarray | None,
              settings: CloudSettings) -> np.ndarray:
        """Mask of the pixels that become points: uint8, 255 or 0."""
        keep = within(prediction.depth, settings.min_range, settings.max_range)
        if flying is not None:
            cv2.subtract(keep, flying, dst=keep)
        if settings.min_confidence > 0 and prediction.confidence is not None:
            sure = cv2.inRange(prediction.confidence, settings.min_confidence, 255)
            cv2.bitwise_and(keep, sure, dst=keep)
        return keep

    def _build(self, prediction: Prediction, keep: np.ndarray, image: np.ndarray,
               intrinsics: Intrinsics, mount: Mount | None, wants: Wants,
               settings: CloudSettings) -> Clouds:
        kinds = self._kinds(prediction, keep, intrinsics, mount, settings) if wants.split else None
        if kinds is None and not wants.points:
            return Clouds(split_failed=wants.split)
        size, step = image.shape[:2], settings.stride
        depth, keep, labels, confidence, normals, rgb = (
            _thinned(resized(array, size), step)
            for array in (prediction.depth, keep, prediction.labels, prediction.confidence,
                          prediction.normals, image))
        camera = every_nth(intrinsics.resized(size[1], size[0]), step)
        points = self._builder.build(depth, camera, rgb, labels, confidence, normals, keep)
        if kinds is None:
            return Clouds(points, split_failed=wants.split)
        kinds = _thinned(resized(kinds, size), step)
        return Clouds(points if wants.points else None,
                      select(points, kinds == OBSTACLE) if wants.obstacles else None,
                      select(points, kinds == GROUND) if wants.ground else None)

    def _kinds(self, prediction: Prediction, keep: np.ndarray, intrinsics: Intrinsics,
               mount: Mount | None, settings: CloudSettings) -> np.ndarray | None:
        """Ground and obstacles at network size; None if there is no telling."""
        depth, labels = prediction.depth, prediction.labels
        assert depth is not None
        key = settings.ground, settings.ignored
        if self._split_key != key:
            self._split_key, self._split = key, ground_split(self._card, *key)
        camera = intrinsics.resized(depth.shape[1], depth.shape[0])
        if mount is None:
            known = labels is not None and self._split.knows_classes
            mount = fit_ground(depth, camera, self._split.candidates(labels, keep) if known
                               else keep)
        return self._split.split(depth, keep, camera, labels, mount, settings.heights)


def resized(array: np.ndarray | None, size: tuple[int, int]) -> np.ndarray | None:
    """An array (H, W[, C]) at another size (height, width), by nearest neighbour."""
    if array is None or array.shape[:2] == size:
        return array
    # NEAREST_EXACT keeps pixel centres where the half-pixel rule puts them; NEAREST does not.
    return cv2.resize(array, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def _thinned(array: np.ndarray | None, step: int) -> np.ndarray | None:
    return array if array is None or step == 1 else np.ascontiguousarray(array[::step, ::step])

"""The clouds of one frame: which pixels become points, and which of them are ground."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.cloud import CloudBuilder, Selector, every_nth, within
from dense_perception.geometry.depth_edges import FlyingPixels
from dense_perception.geometry.ground import GROUND, OBSTACLE, fit_ground
from dense_perception.geometry.mount import Mount
from dense_perception.inference.card import ModelCard
from dense_perception.inference.prediction import Prediction
from dense_perception.ros.cloud_settings import KEEP, REMOVE, CloudSettings, ground_split


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

    @property
    def any(self) -> bool:
        """Whether points are needed at all."""
        return self.points or self.split


@dataclass(frozen=True)
class Clouds:
    """Structured arrays of ``geometry.cloud.point_dtype``; what is absent is None.

    ``points``: (H, W). ``obstacles``, ``ground``: (1, N), without unknown points. All are
    overwritten by the next frame. ``split_failed``: the last two were wanted, but there is no
    telling.
    """

    points: np.ndarray | None = None
    obstacles: np.ndarray | None = None
    ground: np.ndarray | None = None
    split_failed: bool = False


@dataclass(frozen=True)
class Judgement:
    """What was found out about the pixels at network resolution (H, W).

    ``flying``: uint8, 255 = flying pixel. ``keep``: uint8, 255 = becomes a point. ``kinds``: see
    ``GroundSplit.split``. What nobody asked for is None.
    """

    flying: np.ndarray | None = None
    keep: np.ndarray | None = None
    kinds: np.ndarray | None = None


class CloudStage:
    """Judges the pixels of a frame, then builds its clouds; buffers are reused.

    Pixels are judged at network resolution, where depth was predicted: enlarged by nearest
    neighbour it is made of steps, which no test of edges or planes understands.
    """

    def __init__(self, card: ModelCard) -> None:
        self._card = card
        self._flying = FlyingPixels()
        self._builder = CloudBuilder()
        self._selectors = {OBSTACLE: Selector(), GROUND: Selector()}
        self._split_key: tuple = ()
        self._split = ground_split(card, (), ())

    def judge(self, prediction: Prediction, intrinsics: Intrinsics | None, mount: Mount | None,
              wants: Wants, settings: CloudSettings) -> Judgement:
        """Judge a prediction with metric depth.

        :param intrinsics: of an image of any size with the prediction's view; None = unknown, so
            no cloud can be wanted.
        """
        clouds = wants.any and intrinsics is not None
        depth = prediction.depth
        assert depth is not None
        flying = self._flying.find(depth) if settings.flying_pixels == REMOVE or (
            clouds and settings.flying_pixels != KEEP) else None
        if not clouds:
            return Judgement(flying)
        keep = within(depth, settings.min_range, settings.max_range)
        if flying is not None:
            cv2.subtract(keep, flying, dst=keep)
        if settings.min_confidence > 0 and prediction.confidence is not None:
            sure = cv2.inRange(prediction.confidence, settings.min_confidence, 255)
            cv2.bitwise_and(keep, sure, dst=keep)
        assert intrinsics is not None
        kinds = self._kinds(prediction, keep, intrinsics.resized(*depth.shape[::-1]), mount,
                            settings) if wants.split else None
        return Judgement(flying, keep, kinds)

    def build(self, judgement: Judgement, shown: Prediction, image: np.ndarray | None,
              intrinsics: Intrinsics | None, wants: Wants, settings: CloudSettings) -> Clouds:
        """Build the wanted clouds.

        :param shown: the prediction at output size.
        :param image: uint8 (H, W, 3) RGB at output size; None: points without colour.
        :param intrinsics: of an image of any size with its view.
        """
        if judgement.keep is None or intrinsics is None or shown.depth is None:
            return Clouds()
        kinds, failed = judgement.kinds, wants.split and judgement.kinds is None
        if failed and not wants.points:
            return Clouds(split_failed=True)
        size, step = shown.depth.shape, settings.stride
        keep, kinds = (resized(array, size) for array in (judgement.keep, kinds))
        depth, keep, kinds, labels, confidence, normals, rgb = (
            array if array is None or step == 1
            else np.ascontiguousarray(array[::step, ::step])
            for array in (shown.depth, keep, kinds, shown.labels, shown.confidence,
                          shown.normals, image))
        camera = every_nth(intrinsics.resized(size[1], size[0]), step)
        points = self._builder.build(depth, camera, rgb, labels, confidence, normals, keep)

        def part(kind: int, wanted: bool) -> np.ndarray | None:
            return self._selectors[kind].select(points, kinds == kind) \
                if wanted and kinds is not None else None

        return Clouds(points if wants.points else None, part(OBSTACLE, wants.obstacles),
                      part(GROUND, wants.ground), failed)

    def _kinds(self, prediction: Prediction, keep: np.ndarray, camera: Intrinsics,
               mount: Mount | None, settings: CloudSettings) -> np.ndarray | None:
        """Ground and obstacles at network size; None if there is no telling."""
        depth, labels = prediction.depth, prediction.labels
        assert depth is not None
        key = settings.ground, settings.ignored
        if self._split_key != key:
            self._split_key, self._split = key, ground_split(self._card, *key)
        if mount is None:
            by_class = labels is not None and self._split.knows_classes
            mount = fit_ground(depth, camera, self._split.candidates(labels, keep) if by_class
                               else keep)
        return self._split.split(depth, keep, camera, labels, mount, settings.heights)


def resized(array: np.ndarray | None, size: tuple[int, int],
            interpolation: int = cv2.INTER_NEAREST_EXACT) -> np.ndarray | None:
    """An array (H, W[, C]) at another size (height, width), by nearest neighbour by default."""
    # NEAREST_EXACT keeps pixel centres where the half-pixel rule puts them; NEAREST does not.
    if array is None or array.shape[:2] == size:
        return array
    return cv2.resize(array, size[::-1], interpolation=interpolation)

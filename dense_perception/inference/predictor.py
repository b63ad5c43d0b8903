"""An image in, depth and labels out: the whole inference path without ROS and without torch."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.mount import Mount
from dense_perception.inference import card as names
from dense_perception.inference.backends import Backend, BackendOptions, Ladder
from dense_perception.inference.batches import Frame, Inference, run
from dense_perception.inference.card import ModelCard
from dense_perception.inference.model_file import ModelFile
from dense_perception.inference.prediction import Prediction
from dense_perception.inference.resize import network_size, resize_image

_LOGGER = logging.getLogger(__name__)


class Predictor:
    """Runs a model file on images.

    >>> predictor = Predictor('xnet_small')
    >>> prediction = predictor.predict(image, intrinsics, Mount.from_pitch_roll(0.2, 0.0, 0.9))
    >>> prediction.depth.shape, prediction.metric
    ((224, 288), True)

    :param model: path of a model file or name of a shipped model.
    :param backend: ``auto`` or one of ``backends.BACKENDS``.
    :param threads: CPU threads of the backend; 0 = all this process may use.
    :param precision: the least precise arithmetic that the backend may use, see
        ``backends.BackendOptions``.
    :param say: takes sentences for the log: which backends are left out and why, engines that are
        built, changes of the backend; may be called from another thread.
    :raises ModelFileError: the model file cannot be used.
    :raises BackendError: the backend cannot load it.
    """

    def __init__(self, model: str | Path, backend: str = 'auto', threads: int = 0,
                 precision: str = 'fp32', say: Callable[[str], None] = _LOGGER.info) -> None:
        self.model = ModelFile.open(model)
        options = BackendOptions(threads, precision)
        self._serve(self.model.card, Ladder(self.model, backend, options, say))

    @classmethod
    def on(cls, model: ModelFile, backend: Backend) -> Predictor:
        """A predictor of this model on a backend that is already loaded."""
        predictor = cls.__new__(cls)
        predictor.model = model
        predictor._serve(model.card, backend)
        return predictor

    def _serve(self, card: ModelCard, backend: Backend) -> None:
        self.card = card
        self._backend = backend

    @property
    def backend(self) -> str:
        """Name of the backend in use; it may change, see ``backends.Ladder``."""
        return self._backend.name

    @property
    def engine(self) -> Backend:
        """What runs the model; predictors that share it can predict together."""
        return self._backend

    @property
    def skipped(self) -> Mapping[str, str]:
        """Backends that would be preferred -> why they are not in use."""
        return self._backend.skipped if isinstance(self._backend, Ladder) else {}

    @property
    def backend_state(self) -> str:
        """What the backend does beside inference, such as building an engine; '' = nothing."""
        return self._backend.state if isinstance(self._backend, Ladder) else ''

    def adopt(self, rung: str, backend: Backend) -> bool:
        """See :meth:`Ladder.adopt`."""
        return isinstance(self._backend, Ladder) and self._backend.adopt(rung, backend)

    @property
    def has_depth(self) -> bool:
        """True if the model predicts depth, metric or relative."""
        return names.OUTPUT_DEPTH in self.card.outputs

    @property
    def has_labels(self) -> bool:
        """True if the model predicts class labels."""
        return names.OUTPUT_LABELS in self.card.outputs

    def size_advice(self, width: int, height: int) -> str | None:
        """Why another export would suit images of this size better; None if this one is right."""
        better = network_size((height, width), self.card)
        if better == self.card.input_size:
            return None
        return (f'model {self.card.name} was trained to see images of {width}x{height} at '
                f'{better[1]}x{better[0]}, this file stretches them to {self.card.input_width}x'
                f'{self.card.input_height}: export it again with --image-size {width}x{height}')

    def predict(self, image: np.ndarray, intrinsics: Intrinsics | None = None,
                mount: Mount | None = None, colour_order: str = 'rgb') -> Prediction:
        """Predict one image.

        :param image: uint8 (height, width, 3), any size; rows may be padded (any strides).
        :param intrinsics: of ``image``; needed for metric depth by models that take the mount.
        :param mount: gravity direction and camera height; likewise.
        :param colour_order: of ``image``: ``rgb`` or ``bgr``.
        :raises ValueError: the image is not uint8 (height, width, 3), is empty, or the intrinsics
            are of another size.
        :raises BackendError: the runtime failed on this image.
        """
        return run(self.predicting(image, intrinsics, mount, colour_order))

    def predicting(self, image: np.ndarray, intrinsics: Intrinsics | None = None,
                   mount: Mount | None = None, colour_order: str = 'rgb') -> Frame[Prediction]:
        """:meth:`predict` as a frame, which ``batches.run_together`` runs beside others."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise ValueError('image must be a non-empty uint8 array (height, width, 3), not '
                             f'{image.dtype} {image.shape}')
        height, width = image.shape[:2]
        if intrinsics is not None and (intrinsics.width, intrinsics.height) != (width, height):
            raise ValueError(f'intrinsics are for {intrinsics.width}x{intrinsics.height}, the '
                             f'image is {width}x{height}')
        start = time.perf_counter()
        seen = self._resize(image, colour_order)
        inputs = {names.INPUT_IMAGE: seen[None]}
        with_mount = self.card.takes_mount and intrinsics is not None and mount is not None
        if self.card.takes_mount:
            inputs |= self._mount_inputs(intrinsics, mount if with_mount else None)
        resize_ms = 1e3 * (time.perf_counter() - start)
        answer = yield Inference(self._backend, inputs)

        def output(name: str) -> np.ndarray | None:
            return answer.outputs[name][0] if name in self.card.outputs else None

        metric = self.card.depth_convention == 'metric' and (
            with_mount or not self.card.takes_mount)
        return Prediction(
            depth=output(names.OUTPUT_DEPTH), labels=output(names.OUTPUT_LABELS),
            confidence=output(names.OUTPUT_CONFIDENCE), metric=metric,
            normals=output(names.OUTPUT_NORMALS), alpha=output(names.OUTPUT_ALPHA), image=seen,
            stage_ms={'resize': resize_ms, 'inference': answer.milliseconds})

    def _resize(self, image: np.ndarray, colour_order: str) -> np.ndarray:
        """Image at network size, RGB, in an array of its own."""
        height, width = self.card.input_size
        # New for each frame, as several may be under way: as fast as one that is used again.
        resized = np.empty((height, width, 3), np.uint8)
        if image.shape[:2] == (height, width):
            np.copyto(resized, image)
        else:
            resize_image(image, height, width, self.card.interpolation, resized)
        if colour_order == 'bgr':
            cv2.cvtColor(resized, cv2.COLOR_BGR2RGB, dst=resized)
        return resized

    def _mount_inputs(self, intrinsics: Intrinsics | None,
                      mount: Mount | None) -> dict[str, np.ndarray]:
        """Graph inputs of the mount channel; camera height 0 tells the graph it is unknown."""
        height, width = self.card.input_size
        down = (0.0, 0.0, 0.0) if mount is None else mount.down
        if intrinsics is None or mount is None:
            k = (float(width), float(width), width / 2, height / 2)
        else:
            scaled = intrinsics.resized(width, height)
            k = (scaled.fx, scaled.fy, scaled.cx, scaled.cy)
        return {
            names.INPUT_INTRINSICS: np.array([k], np.float32),
            names.INPUT_GRAVITY: np.array([down], np.float32),
            names.INPUT_CAMERA_HEIGHT: np.array([mount.height if mount else 0.0], np.float32)}

"""What of an engine runs: a context, its buffers, and one image as a CUDA graph."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from dense_perception.inference.backends import cuda
from dense_perception.inference.backends.base import ANY_BATCH, BackendError, DeviceError

_LOGGER = logging.getLogger(__name__)

Shapes = dict[str, tuple[tuple[int, ...], bool]]


def shapes_of(trt: Any, engine: Any) -> tuple[Shapes, int]:
    """Shapes of an engine's tensors and which are inputs; the most images it takes at once."""
    shapes: Shapes = {}
    most = []
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
        shapes[name] = tuple(engine.get_tensor_shape(name)), is_input
        if is_input:
            most.append(1 if shapes[name][0][0] != ANY_BATCH
                        else engine.get_tensor_profile_shape(name, 0)[2][0])
    return shapes, min(most)


class Execution:
    """An execution context with its buffers, for up to a number of images.

    One image has a context of its own, as a CUDA graph holds for one shape: a context whose
    shape changes after the capture would spoil it.

    :param shapes: of all tensors, for the largest batch. :param inputs: which are inputs.
    :raises DeviceError: the GPU has not enough memory left.
    """

    def __init__(self, context: Any, stream: cuda.Stream, log: Any,
                 shapes: dict[str, tuple[int, ...]], inputs: set[str],
                 dtypes: dict[str, np.dtype]) -> None:
        self._context, self._stream, self._log = context, stream, log
        self._inputs: dict[str, cuda.Buffer] = {}
        self._outputs: dict[str, cuda.Buffer] = {}
        self._shaped = 0
        self._graph: Callable[[], None] | None = None
        try:
            for name, shape in shapes.items():
                buffer = cuda.Buffer(stream, shape, dtypes[name])
                (self._inputs if name in inputs else self._outputs)[name] = buffer
                context.set_tensor_address(name, buffer.device)
        except BaseException:
            self.release()
            raise

    def run(self, inputs: dict[str, np.ndarray], images: int) -> dict[str, np.ndarray]:
        """Run a batch of no more images than there is room for."""
        for name, buffer in self._inputs.items():
            np.copyto(buffer.array[:images], inputs[name])
        if self._graph is not None:
            self._graph()
        else:
            self._enqueue(images)
        self._stream.wait()
        return {name: buffer.array[:images].copy() for name, buffer in self._outputs.items()}

    def capture(self) -> None:
        """Make one image a CUDA graph: a single call to enqueue it; plain calls if that fails."""
        self._enqueue(1)  # the first run may allocate, which a capture must not
        self._stream.wait()
        try:
            graph = self._stream.capture(lambda: self._enqueue(1))
            graph()
            self._stream.wait()
        except (BackendError, AttributeError) as error:
            _LOGGER.info('without a CUDA graph: %s', error)
        else:
            self._graph = graph

    def release(self) -> None:
        """Give the GPU's memory back at once; a backend that worked does so when it is dropped."""
        for buffer in (*self._inputs.values(), *self._outputs.values()):
            buffer.free()

    def _enqueue(self, images: int) -> None:
        if self._shaped != images:
            for name, buffer in self._inputs.items():
                self._context.set_input_shape(name, (images, *buffer.array.shape[1:]))
            self._shaped = images
        for buffer in self._inputs.values():
            buffer.upload(images)
        if not self._context.execute_async_v3(int(self._stream.handle)):
            raise DeviceError(f'TensorRT failed on an image: {self._log.reason()}')
        for buffer in self._outputs.values():
            buffer.download(images)

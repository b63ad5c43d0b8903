"""The few calls of the CUDA runtime that inference needs, on top of the package cuda-bindings."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from dense_perception.inference.backends.base import BackendError, DeviceError

_MODULES = ('cuda.bindings.runtime', 'cuda.cudart')  # since 12.6, before


def runtime() -> ModuleType:
    """The module that wraps the CUDA runtime.

    :raises BackendError: the package cuda-bindings is not installed, or does not load.
    """
    reason = ''
    for name in _MODULES:
        try:
            return import_module(name)
        except ImportError as error:
            reason = str(error)
    raise BackendError(f'the Python package cuda-bindings is not installed ({reason}): pip '
                       'install cuda-bindings, of the version of CUDA that TensorRT uses')


class Stream:
    """A non-blocking CUDA stream; waiting for it sleeps and leaves the CPU to others.

    :param api: see :func:`runtime`.
    :raises DeviceError: any of the calls fails.
    """

    def __init__(self, api: Any) -> None:
        self.api = api
        self.handle = self.call('cudaStreamCreateWithFlags', api.cudaStreamNonBlocking)
        self._done = self.call('cudaEventCreateWithFlags',
                               api.cudaEventBlockingSync | api.cudaEventDisableTiming)

    def call(self, function: str, *arguments: object) -> Any:
        """Call the CUDA runtime; the one value that it returns beside the error code, or None."""
        error, *values = getattr(self.api, function)(*arguments)
        if int(error):
            _, text = self.api.cudaGetErrorString(error)
            raise DeviceError(f'CUDA failed in {function}: {text.decode()} ({int(error)})')
        return values[0] if values else None

    def wait(self) -> None:
        """Wait until all that was enqueued is done; releases the GIL."""
        self.call('cudaEventRecord', self._done, self.handle)
        self.call('cudaEventSynchronize', self._done)

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record what ``work`` enqueues as a CUDA graph; the callable enqueues the graph."""
        mode = self.api.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self.call('cudaStreamBeginCapture', self.handle, mode)
        try:
            work()
        finally:
            graph = self.call('cudaStreamEndCapture', self.handle)
        executable = self.call('cudaGraphInstantiateWithFlags', graph, 0)
        self.call('cudaGraphDestroy', graph)
        return lambda: self.call('cudaGraphLaunch', executable, self.handle)


class Buffer:
    """One tensor in pinned memory of the host, as an array, and on the device.

    The memory is given back with the object; ``array`` must not outlive it.

    :param shape: fixed. :param dtype: of NumPy.
    :raises DeviceError: there is not enough memory.
    """

    def __init__(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._stream = stream
        self._kinds = stream.api.cudaMemcpyKind
        self._row = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
        self._bytes = shape[0] * self._row
        self.device = int(stream.call('cudaMalloc', self._bytes))
        self._free = [weakref.finalize(self, stream.call, 'cudaFree', self.device)]
        self._host = int(stream.call('cudaHostAlloc', self._bytes, 0))
        self._free.append(weakref.finalize(self, stream.call, 'cudaFreeHost', self._host))
        for finalizer in self._free:
            finalizer.atexit = False  # the process takes its memory with it
        raw = (ctypes.c_uint8 * self._bytes).from_address(self._host)
        self.array = np.frombuffer(memoryview(raw), dtype).reshape(shape)

    def upload(self, rows: int) -> None:
        """Enqueue the copy of the first rows (images of a batch) from host to device."""
        self._stream.call('cudaMemcpyAsync', self.device, self._host, rows * self._row,
                          self._kinds.cudaMemcpyHostToDevice, self._stream.handle)

    def download(self, rows: int) -> None:
        """Enqueue the copy of the first rows from device to host."""
        self._stream.call('cudaMemcpyAsync', self._host, self.device, rows * self._row,
                          self._kinds.cudaMemcpyDeviceToHost, self._stream.handle)

    def free(self) -> None:
        """Give the memory back now."""
        for finalizer in self._free:
            finalizer()

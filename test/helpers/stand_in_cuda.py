"""The CUDA runtime and TensorRT's runtime without a GPU: memory is the host's, engines are ONNX.

What an engine computes is computed by ONNX Runtime, at the addresses the backend gave, when the
stream is waited for. So tests see whether bytes arrive where, when and in the order they should.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from dense_perception.cli import build_engine
from dense_perception.inference import engine_build
from dense_perception.inference.backends import cuda, gpu, tensorrt

OUT_OF_MEMORY = 2


class StandInCuda:
    """What ``cuda.bindings.runtime`` has of what the backend uses.

    ``calls``: names of the functions in order. ``memory_left``: bytes until cudaMalloc fails.
    ``failing``: functions that fail with error 700. ``max_batch``: of engines of files that
    leave it open.
    """

    cudaStreamNonBlocking, cudaEventBlockingSync, cudaEventDisableTiming = 1, 1, 2
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.max_batch = 1
        self.failing: set[str] = set()
        self.memory_left = 1 << 30
        self.blocks: dict[int, ctypes.Array] = {}
        self._queue: list[Callable[[], None]] = []
        self._captured: list[Callable[[], None]] | None = None

    def __getattr__(self, name: str) -> Callable[..., tuple]:
        if not name.startswith('cuda') or not hasattr(type(self), f'_{name}'):
            raise AttributeError(name)

        def call(*arguments: object) -> tuple:
            self.calls.append(name)
            if name in self.failing:
                return 700, None
            return getattr(self, f'_{name}')(*arguments)
        return call

    def enqueue(self, work: Callable[[], None]) -> None:
        (self._queue if self._captured is None else self._captured).append(work)

    def _cudaGetErrorString(self, error: int) -> tuple:
        return 0, {2: b'out of memory'}.get(int(error), b'an illegal memory access')

    def _cudaStreamCreateWithFlags(self, flags: int) -> tuple:
        return 0, 77

    def _cudaEventCreateWithFlags(self, flags: int) -> tuple:
        return 0, 88

    def _cudaMalloc(self, size: int) -> tuple:
        if size > self.memory_left:
            return OUT_OF_MEMORY, None
        self.memory_left -= size
        return self._cudaHostAlloc(size, 0)

    def _cudaHostAlloc(self, size: int, flags: int) -> tuple:
        block = (ctypes.c_uint8 * size)()
        self.blocks[ctypes.addressof(block)] = block
        return 0, ctypes.addressof(block)

    def _cudaFree(self, address: int) -> tuple:
        del self.blocks[address]
        return (0,)

    _cudaFreeHost = _cudaFree

    def _cudaMemcpyAsync(self, to: int, source: int, size: int, kind: int, stream: int) -> tuple:
        room = len(self.blocks[to])
        assert stream == 77 and 0 < size <= room == len(self.blocks[source])
        self.enqueue(lambda: ctypes.memmove(to, source, size))
        return (0,)

    def _cudaEventRecord(self, event: int, stream: int) -> tuple:
        return (0,)

    def _cudaEventSynchronize(self, event: int) -> tuple:
        queue, self._queue = self._queue, []
        for work in queue:
            work()
        return (0,)

    def _cudaStreamBeginCapture(self, stream: int, mode: int) -> tuple:
        self._captured = []
        return (0,)

    def _cudaStreamEndCapture(self, stream: int) -> tuple:
        graph, self._captured = self._captured, None
        return 0, graph

    def _cudaGraphInstantiateWithFlags(self, graph: list, flags: int) -> tuple:
        return 0, graph

    def _cudaGraphDestroy(self, graph: list) -> tuple:
        return (0,)

    def _cudaGraphLaunch(self, graph: list, stream: int) -> tuple:
        self._queue += graph
        return (0,)


def stand_in_tensorrt(cuda: StandInCuda, build: Callable[..., bytes | None] | None = None,
                      version: str = '10.3.0') -> SimpleNamespace:
    """A module ``tensorrt`` whose engines are the bytes of model files."""
    class Logger:
        ERROR, INTERNAL_ERROR = 1, 0

    class Engine:
        def __init__(self, data: bytes) -> None:
            self.session = ort.InferenceSession(data, providers=['CPUExecutionProvider'])
            self.tensors = {t.name: (t, is_input) for is_input, tensors in (
                (True, self.session.get_inputs()), (False, self.session.get_outputs()))
                for t in tensors}
            self.num_io_tensors = len(self.tensors)

        def get_tensor_name(self, index: int) -> str:
            return list(self.tensors)[index]

        def get_tensor_mode(self, name: str) -> str:
            return 'INPUT' if self.tensors[name][1] else 'OUTPUT'

        def get_tensor_dtype(self, name: str) -> str:
            return {'tensor(float)': 'DataType.FLOAT',
                    'tensor(uint8)': 'DataType.UINT8'}[self.tensors[name][0].type]

        def get_tensor_shape(self, name: str) -> list[int]:
            return [n if isinstance(n, int) else -1 for n in self.tensors[name][0].shape]

        def get_tensor_profile_shape(self, name: str, profile: int) -> list[tuple[int, ...]]:
            rest = self.get_tensor_shape(name)[1:]
            return [(1, *rest), (cuda.max_batch, *rest), (cuda.max_batch, *rest)]

        def create_execution_context(self) -> Context:
            return Context(self)

    class Context:
        def __init__(self, engine: Engine) -> None:
            self.engine, self.addresses, self.images = engine, {}, 1

        def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
            self.images = shape[0]
            return shape[0] <= cuda.max_batch

        def set_tensor_address(self, name: str, address: int) -> bool:
            assert address in cuda.blocks
            self.addresses[name] = address
            return True

        def execute_async_v3(self, stream: int) -> bool:
            assert stream == 77 and set(self.addresses) == set(self.engine.tensors)
            cuda.calls.append('execute_async_v3')
            cuda.enqueue(self._compute)
            return 'execute_async_v3' not in cuda.failing

        def _array(self, name: str) -> np.ndarray:
            tensor, _ = self.engine.tensors[name]
            dtype = np.float32 if tensor.type == 'tensor(float)' else np.uint8
            values = np.frombuffer(cuda.blocks[self.addresses[name]], dtype)
            return values.reshape(-1, *tensor.shape[1:])[:self.images]

        def _compute(self) -> None:
            inputs = {n: self._array(n) for n, (_, is_in) in self.engine.tensors.items() if is_in}
            outputs = [n for n in self.addresses if n not in inputs]
            for name, value in zip(outputs, self.engine.session.run(outputs, inputs)):
                np.copyto(self._array(name), value)

    class Runtime:
        def __init__(self, log: Logger) -> None:
            self.log = log

        def deserialize_cuda_engine(self, data: bytes) -> Engine | None:
            try:
                return Engine(data)
            except Exception:
                self.log.log(Logger.ERROR, 'the version tag does not match')
                return None

    return SimpleNamespace(
        __name__='tensorrt', __version__=version, ILogger=Logger, Runtime=Runtime,
        TensorIOMode=SimpleNamespace(INPUT='INPUT', OUTPUT='OUTPUT'),
        build=build or (lambda path: Path(path).read_bytes()))


def stand_in_machine(monkeypatch: pytest.MonkeyPatch, cache: Path) -> SimpleNamespace:
    """Give this machine a GPU, TensorRT and cuda-bindings; its parts can be changed or broken.

    ``build``: takes path and progress, gives an engine. ``builds``: how often that was asked.
    ``folder``: of the engine cache, which is empty.
    """
    parts = SimpleNamespace(cuda=StandInCuda(), gpu=gpu.Gpu('Orin', (8, 7), (12, 6)), builds=0,
                            folder=cache / 'dense_perception' / 'engines',
                            build=lambda path, progress: Path(path).read_bytes())
    parts.trt = stand_in_tensorrt(parts.cuda)

    def build(trt: object, path: Path, options: Any, progress: Callable) -> bytes:
        parts.builds += 1
        parts.cuda.max_batch = options.batch
        return parts.build(path, progress)
    monkeypatch.setenv('XDG_CACHE_HOME', str(cache))
    monkeypatch.setattr(gpu, 'probe', lambda: parts.gpu)
    monkeypatch.setattr(cuda, 'runtime', lambda: parts.cuda)
    monkeypatch.setattr(tensorrt, 'installed', lambda name: None)
    monkeypatch.setattr(tensorrt, 'bindings', lambda name: SimpleNamespace(
        **vars(parts.trt) | {'__name__': name}))
    for module in (tensorrt, engine_build, build_engine):
        monkeypatch.setattr(module, 'build_engine', build)
    return parts

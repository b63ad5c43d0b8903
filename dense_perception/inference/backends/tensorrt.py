"""TensorRT and TensorRT for RTX: one backend, the library's module is a parameter.

The runtime half is the same for all versions since 8.5: tensors by name, ``execute_async_v3``.
What differs between generations is in ``tensorrt_builder``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from dense_perception.inference.backends import cuda, gpu
from dense_perception.inference.backends.base import (
    BackendError,
    BackendOptions,
    DeviceError,
    EngineMissing,
    Progress,
    check_graph,
    input_shapes,
)
from dense_perception.inference.backends.tensorrt_builder import (
    GIVEN_UP,
    BuildOptions,
    build_engine,
    label,
    make_log,
)
from dense_perception.inference.backends.tensorrt_execution import Execution, Shapes, shapes_of
from dense_perception.inference.engine_cache import EngineCache, EngineKey
from dense_perception.inference.model_file import ModelFile

_LOGGER = logging.getLogger(__name__)
_OLDEST = (8, 5)
_DTYPES = {'FLOAT': 'float32', 'HALF': 'float16', 'UINT8': 'uint8', 'INT8': 'int8',
           'INT32': 'int32', 'INT64': 'int64', 'BOOL': 'bool'}


class TensorRTBackend:
    """An engine, ready to run.

    :param trt: the module ``tensorrt`` or ``tensorrt_rtx``.
    :param engine: serialised, built for this GPU and this version.
    :param name: what diagnostics show.
    :param api: the CUDA runtime, see :func:`cuda.runtime`.
    :raises BackendError: the engine is of another version or GPU, or not of this model.
    :raises DeviceError: the GPU has not enough memory left.
    """

    concurrency = 1

    def __init__(self, trt: Any, engine: bytes, model: ModelFile, name: str, api: Any) -> None:
        self.name = name
        self._log = make_log(trt)
        self._runtime = trt.Runtime(self._log)
        self._engine = self._runtime.deserialize_cuda_engine(engine)
        if self._engine is None:
            raise BackendError(f'{label(trt)} does not take the engine: {self._log.reason()}')
        context = self._context(trt)
        self._stream = cuda.Stream(api)
        shapes, self.max_batch = shapes_of(trt, self._engine)
        check_graph(model.path, model.card, {
            name: shape for name, (shape, is_input) in shapes.items() if is_input},
            [name for name, (_, is_input) in shapes.items() if not is_input])
        one = self._execution(context, shapes, 1)
        self._one, self._many = one, one
        try:
            one.capture()
            if self.max_batch > 1:
                self._many = self._execution(self._context(trt), shapes, self.max_batch)
        except BaseException:
            one.release()
            raise

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See :class:`Backend`."""
        images = len(next(iter(inputs.values())))
        return (self._one if images == 1 else self._many).run(inputs, images)

    def _context(self, trt: Any) -> Any:
        context = self._engine.create_execution_context()
        if context is None:
            raise DeviceError(f'{label(trt)} cannot run the engine: {self._log.reason()}')
        return context

    def _execution(self, context: Any, shapes: Shapes, images: int) -> Execution:
        return Execution(context, self._stream, self._log, {
            name: (images, *shape[1:]) for name, (shape, _) in shapes.items()}, {
            name for name, (_, is_input) in shapes.items() if is_input}, {
            name: np.dtype(_DTYPES[str(self._engine.get_tensor_dtype(name)).rpartition('.')[2]])
            for name in shapes})


def load(runtime: str, model: ModelFile, options: BackendOptions) -> TensorRTBackend:
    """The engine of the cache, loaded.

    :param runtime: ``tensorrt`` or ``tensorrt_rtx``: the module.
    :raises EngineMissing: everything is there but the engine.
    :raises BackendError: the library, cuda-bindings or a GPU is missing.
    """
    engines = Engines(runtime, model, options.precision, options.batch)
    found, reason = engines.load()
    if found is None:
        raise EngineMissing(reason, engines.build, engines.cache.note)
    return found


Check = Callable[[TensorRTBackend], dict[str, Any]]
"""Raises BackendError if an engine is not good enough; returns what the sidecar shall say."""


class Engines:
    """Engines of one model in one precision, for the GPU of this machine.

    :param batch: the most images to be taken at once, if the model file leaves that open.
    :raises BackendError: the library, cuda-bindings or a GPU is missing.
    """

    def __init__(self, runtime: str, model: ModelFile, precision: str,
                 batch: int = 1) -> None:
        installed(runtime)
        self.device = gpu.probe()  # before the import, which may need what the driver brings
        self.trt = bindings(runtime)
        self._api = cuda.runtime()
        self.runtime, self._model = runtime, model
        self._options = BuildOptions(precision, batch=batch)
        self._name = runtime if precision == 'fp32' else f'{runtime} {precision}'
        self.cache = EngineCache(
            engine_key(self.trt, model, self.device, precision, batch=batch), model.card.name)

    def load(self) -> tuple[TensorRTBackend | None, str]:
        """The engine of the cache, ready, and ''; or None and why one has to be built.

        :raises DeviceError: the GPU has not enough memory.
        :raises BackendError: it was compared with fp32 and found too far off.
        """
        found, reason = self._cached()
        if found is not None and 'figures' not in self.cache.about:
            return None, 'its engine was not compared with fp32 yet'
        return found, reason

    def _cached(self) -> tuple[TensorRTBackend | None, str]:
        engine, reason = self.cache.load()
        if engine is None:
            return None, reason
        if problem := self.cache.about.get('refused'):
            raise BackendError(f'its engine was refused: {problem}; delete {self.cache.path} to '
                               'build it again')
        try:
            return self.open(engine), ''
        except DeviceError:
            raise
        except BackendError as error:
            return None, str(error)

    def open(self, engine: bytes) -> TensorRTBackend:
        """An engine, ready; raises as :class:`TensorRTBackend` does."""
        return TensorRTBackend(self.trt, engine, self._model, self._name, self._api)

    def build(self, progress: Progress, check: Check | None = None,
              waiting: Callable[[], bool] | None = None, anew: bool = False) -> TensorRTBackend:
        """Build, check and store an engine, unless the cache has it by now.

        :param waiting: told again and again while another build has its turn; False gives up.
            Default: ``progress`` of 0.
        :param anew: also if the cache has it.
        :raises BackendError: it cannot be built, ``check`` refuses it, or it was given up.
        """
        with self.cache.lock(waiting or (lambda: progress(0.0))) as mine:
            if not mine:
                raise BackendError(GIVEN_UP)
            found, _ = self._cached() if not anew else (None, '')
            if found is not None:
                if check is not None and 'figures' not in self.cache.about:
                    self.cache.note(check(found))
                return found
            start = time.monotonic()
            engine = build_engine(self.trt, self._model.path, self._options, progress)
            return self.keep(engine, {'build_seconds': round(time.monotonic() - start, 1)}, check)

    def keep(self, engine: bytes, about: dict[str, Any], check: Check | None) -> TensorRTBackend:
        """Load an engine, check it, and store it if it is good.

        :raises BackendError: it does not load, or ``check`` refuses it.
        """
        backend = self.open(engine)
        self.cache.store(engine, about | (check(backend) if check else {}))
        return backend


def installed(runtime: str) -> None:
    """:raises BackendError: there is no Python package of that name."""
    if find_spec(runtime) is None:
        raise BackendError(f'the Python package {runtime} is not installed')


def bindings(runtime: str) -> Any:
    """The module of that name.

    :raises BackendError: it does not load, or is too old.
    """
    try:
        trt = import_module(runtime)
    except (ImportError, OSError) as error:
        raise BackendError(f'the Python package {runtime} does not load: {error}') from None
    version = tuple(int(part) for part in trt.__version__.split('.')[:2])
    if runtime == 'tensorrt' and version < _OLDEST:
        raise BackendError(f'TensorRT {trt.__version__} is too old: 8.5 is the first that is '
                           'supported')
    return trt


def ahead_of_time(runtime: str) -> Any:
    """The module of that name, if it builds for GPUs that are elsewhere; it needs none here.

    :raises BackendError: it is not installed, does not load, or builds for its own GPU only.
    """
    installed(runtime)
    trt = bindings(runtime)
    if runtime != 'tensorrt_rtx':
        raise BackendError(f'{label(trt)} builds for the GPU of this machine only; tensorrt_rtx '
                           'builds for others')
    return trt


def engine_key(trt: Any, model: ModelFile, device: gpu.Gpu | None, precision: str,
               targets: tuple[str, ...] = (), batch: int = 1) -> EngineKey:
    """What the engine of this model depends on: for this GPU, or ahead of time for ``targets``."""
    return EngineKey(
        model_sha256=model.sha256, runtime=trt.__name__, runtime_version=trt.__version__,
        cuda='{}.{}'.format(*device.cuda) if device else '', gpu=device.name if device else '',
        capability=device.compute_capability if device else ' '.join(sorted(targets)),
        precision=precision, shapes=str(sorted(input_shapes(model.card, batch).items())))

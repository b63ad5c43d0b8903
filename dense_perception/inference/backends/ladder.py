"""The backends in order of preference, and the climb to the best one that works here."""

from __future__ import annotations

import logging
import platform
import threading
from collections.abc import Callable, Mapping

import numpy as np

from dense_perception.inference.agreement import Agreement, Limits
from dense_perception.inference.backends.base import (
    Backend,
    BackendError,
    BackendOptions,
    DeviceError,
    EngineMissing,
    cpu_has,
)
from dense_perception.inference.model_file import ModelFile

BACKENDS = ('tensorrt', 'tensorrt_rtx', 'onnxruntime-cuda', 'openvino', 'onnxruntime-cpu')
"""In the order in which ``auto`` tries them."""

_CPU_RUNGS = ('openvino', 'onnxruntime-cpu')

Say = Callable[[str], None]

_LOGGER = logging.getLogger(__name__)
_SAID_STEP = 0.25  # of a build
_TRIAL_IMAGES = 8


def open_backend(name: str, model: ModelFile, options: BackendOptions) -> Backend:
    """Load a model into the backend of that name, now.

    :raises EngineMissing: it could, after its engine was built.
    :raises BackendError: the name is unknown, or the backend is not installed, has no device or
        cannot load the model.
    """
    if name not in BACKENDS:
        raise BackendError(f'unknown backend "{name}"; choose from auto, {", ".join(BACKENDS)}')
    try:
        if name.startswith('tensorrt'):
            from dense_perception.inference.backends import tensorrt
            return tensorrt.load(name, model, options)
        if name == 'openvino':
            from dense_perception.inference.backends.openvino import OpenVinoBackend
            return OpenVinoBackend(model, options)
        from dense_perception.inference.backends.onnxruntime import OnnxRuntimeBackend
        return OnnxRuntimeBackend(model, options, cuda=name == 'onnxruntime-cuda')
    except ImportError as error:
        raise BackendError(f'it is not installed ({error})') from None


class Ladder:
    """A backend that is the best one available, while it is: it climbs and steps down.

    ``auto`` tries the rungs in order. A rung whose engine has to be built builds it in a thread,
    the next rungs serve meanwhile. The engine is compared with the rung that serves on the first
    images after the build, and serves from then on unless it is too far off. A rung
    whose device fails while it runs is left for good, and a CPU answers the same batch.

    :param name: ``auto``, or the one rung to take; others then serve only while it is built or
        after its device failed.
    :param say: takes one sentence for the log: rungs that are left out, builds, changes.
    :raises BackendError: the named backend, or with ``auto`` every one, cannot be used.
    """

    def __init__(self, model: ModelFile, name: str = 'auto',
                 options: BackendOptions | None = None, say: Say = _LOGGER.info) -> None:
        self._model, self._options, self._say = model, options or BackendOptions(), say
        self.skipped: Mapping[str, str] = {}
        """Rung -> why it is not used; replaced when it changes, never changed."""
        self.state = ''
        """What is going on beside inference, such as a build; '' if nothing is."""
        self._built: Backend | None = None
        self._trying = threading.Lock()
        rungs = BACKENDS if name == 'auto' else (name,)
        self._named = name
        self._backend = self._climb(rungs)
        self._say_batch()

    @property
    def max_batch(self) -> int:
        """See :class:`Backend`; it changes with the backend that serves."""
        return self._backend.max_batch

    @property
    def concurrency(self) -> int:
        """See :class:`Backend`; it changes with the backend that serves."""
        return self._backend.concurrency

    @property
    def name(self) -> str:
        """Name of the backend that serves now."""
        return self._backend.name

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See :class:`Backend`."""
        try:
            outputs = _in_parts(self._backend, inputs)
            with self._trying:  # several threads may ask what serves, one at a time the new one
                if self._built is not None:
                    self._try_out(self._built, inputs, outputs)
            return outputs
        except DeviceError as error:
            self._skip(self._rung, str(error))
            # Errors of CUDA stay with the process: the other rungs on the GPU would fail as well.
            self._backend = self._climb(_CPU_RUNGS)
            self._say(f'now on {self._backend.name}')
            return _in_parts(self._backend, inputs)

    def adopt(self, rung: str, built: Backend) -> bool:
        """Serve from this backend, which was compared with fp32 elsewhere, if it is a better one.

        To be called while ``run`` is not. False, if what serves is as good, or another was asked
        for.
        """
        if self._named not in ('auto', rung) or BACKENDS.index(rung) >= BACKENDS.index(self._rung):
            return False
        self._change(rung, built)
        return True

    def _change(self, rung: str, built: Backend) -> None:
        self._say(f'now on {built.name} instead of {self._backend.name}')
        self.skipped = {r: why for r, why in self.skipped.items() if r != rung}
        self._backend, self._rung, self._built = built, rung, None

    def _try_out(self, built: Backend, inputs: dict[str, np.ndarray],
                 outputs: dict[str, np.ndarray]) -> None:
        """Compare a new engine with what serves on the first images; then change, or leave it."""
        try:
            compared = _in_parts(built, inputs)
            for i in range(_images(inputs)):
                self._trial.add({name: v[i] for name, v in outputs.items()},
                                {name: v[i] for name, v in compared.items()})
        except BackendError as error:
            problem: str | None = str(error)
        else:
            if len(self._trial) < _TRIAL_IMAGES:
                return
            problem = self._trial.problem(Limits())
            self._note({'figures': self._trial.figures(), 'refused': problem})
        self._built = None
        if problem:
            self._skip(self._building, problem)
            return
        self._change(self._building, built)

    def _climb(self, rungs: tuple[str, ...], may_build: bool = True) -> Backend:
        """Open the first rung that works."""
        reason = 'no rung is left'
        for rung in rungs:
            try:
                if rung == 'openvino' != self._named:
                    _worth_openvino(self._model, self._options)
                backend = open_backend(rung, self._model, self._options)
            except EngineMissing as missing:
                if may_build:
                    return self._build(rung, missing)
                reason = f'its engine is not built ({missing})'
            except BackendError as error:
                reason = str(error)
            else:
                self._rung = rung
                if may_build:  # else it only serves while another is built
                    self._say_slow(rung)
                return backend
            self._skip(rung, reason)
        # The last rung needs nothing but the model, so its reason is about the model.
        raise BackendError(reason)

    def _build(self, rung: str, missing: EngineMissing) -> Backend:
        """Serve from the rungs below while this one's engine is built."""
        self.skipped = {**self.skipped, rung: f'its engine is being built ({missing})'}
        backend = self._climb(self._below(rung), may_build=False)
        self._say(f'{rung}: building an engine ({missing}); {backend.name} serves meanwhile')
        self._building = rung
        threading.Thread(target=self._work, args=(rung, missing), daemon=True,
                         name='engine build').start()
        return backend

    def _work(self, rung: str, missing: EngineMissing) -> None:
        said = 0.0

        def progress(share: float) -> bool:
            nonlocal said
            self.state = f'building {rung} engine: {share:.0%}'
            if share >= said + _SAID_STEP:
                said = share
                self._say(self.state)
            return True

        progress(0.0)
        try:
            built = missing.build(progress)
        except Exception as error:  # whatever happens in there, the rung that serves goes on
            self._skip(rung, str(error) if isinstance(error, BackendError) else repr(error))
        else:
            self._trial, self._note = Agreement(self._model.card), missing.note
            self._built = built
        self.state = ''

    def _say_batch(self) -> None:
        name, options = self._backend.name, self._options
        wanted = {'openvino': 1, 'onnxruntime-cpu': options.cpu_batch}.get(
            name.split()[0], options.batch)
        if self._backend.max_batch == 1 < wanted:
            self._say(f'{self._model.path.name} takes one image at a time, so those of several '
                      'cameras run one by one; dense-perception export --any-batch makes a file '
                      'that takes several')

    def _say_slow(self, rung: str) -> None:
        if (self._model.quantised and rung == 'onnxruntime-cpu'
                and platform.machine() in ('x86_64', 'AMD64')):
            self._say(f'{self._model.path.name} is an int8 file, for which ONNX Runtime needs '
                      'nearly twice the time of the float32 one on this CPU; take that one, or '
                      'OpenVINO on a CPU with VNNI (pip install openvino)')

    def _skip(self, rung: str, reason: str) -> None:
        self.skipped = {**self.skipped, rung: reason}
        self._say(f'without {rung}: {reason}')

    @staticmethod
    def _below(rung: str) -> tuple[str, ...]:
        return BACKENDS[BACKENDS.index(rung) + 1:]


def _images(inputs: dict[str, np.ndarray]) -> int:
    return len(next(iter(inputs.values())))


def _in_parts(backend: Backend, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run a batch that may be larger than what this backend takes at once."""
    count, step = _images(inputs), backend.max_batch
    if count <= step:
        return backend.run(inputs)
    parts = [backend.run({name: v[i:i + step] for name, v in inputs.items()})
             for i in range(0, count, step)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _worth_openvino(model: ModelFile, options: BackendOptions) -> None:
    """:raises BackendError: ONNX Runtime is as fast (measured, docs/backends.md)."""
    if model.quantised:
        return
    if options.precision != 'bf16':
        raise BackendError('in fp32 it is no faster than ONNX Runtime; precision bf16 or an int8 '
                           'model file makes it worth its start-up')
    if not cpu_has('amx_bf16'):
        raise BackendError('its bf16 is faster than ONNX Runtime only on CPUs with AMX, which '
                           'this one lacks; backend "openvino" takes it all the same')

"""ONNX Runtime: on the CPU the backend that every machine has, on CUDA the one without a build."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort

from dense_perception.inference.backends import gpu
from dense_perception.inference.backends.base import (
    ANY_BATCH,
    BackendError,
    BackendOptions,
    Company,
    DeviceError,
    check_graph,
    inferences_on_cpu,
)
from dense_perception.inference.model_file import ModelFile

ort.set_default_logger_severity(3)  # warnings about the environment are not the user's business

_CPU, _CUDA = 'CPUExecutionProvider', 'CUDAExecutionProvider'


class OnnxRuntimeBackend:
    """A model in ONNX Runtime; on a CPU loaded twice where it is worth that (:class:`Company`).

    :param model: the checked model file.
    :param cuda: compute on the GPU.
    :raises BackendError: ONNX Runtime cannot load the graph, the graph's inputs and outputs
        are not those the card names, or CUDA is asked for and not to be had.
    """

    def __init__(self, model: ModelFile, options: BackendOptions | None = None,
                 cuda: bool = False) -> None:
        self._cuda = cuda
        self.name = 'onnxruntime-cuda' if cuda else 'onnxruntime-cpu'
        options = options or BackendOptions()
        if cuda:
            _require_cuda()
        self._model, self._options = model, options
        self.concurrency = 1 if cuda else inferences_on_cpu(model, options)
        threads = options.cpu_threads
        share = max(1, threads // self.concurrency)
        self._session = self._load(threads)
        # Now, because the first frame that needs it would wait 60 ms for it.
        self._beside = self._session if share == threads else self._load(share)
        self._company = Company()
        if cuda and self._session.get_providers()[0] != _CUDA:
            raise BackendError(f'ONNX Runtime {ort.__version__} could not start CUDA (its log '
                               'says which library is missing) and would compute on the CPU')
        self._outputs = [o.name for o in self._session.get_outputs()]
        any_batch = check_graph(model.path, model.card, {
            i.name: tuple(n if isinstance(n, int) else ANY_BATCH for n in i.shape)
            for i in self._session.get_inputs()}, self._outputs)
        self.max_batch = (options.batch if cuda else options.cpu_batch) if any_batch else 1

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See :class:`Backend`."""
        with self._company.joined() as alone:
            session = self._session if alone else self._beside
            try:
                values = session.run(self._outputs, inputs)
            except Exception as error:  # ONNX Runtime raises its own, undocumented classes
                kind = DeviceError if self._cuda else BackendError
                raise kind(f'ONNX Runtime failed on an image: {error}') from None
        return dict(zip(self._outputs, values, strict=True))

    def _load(self, threads: int) -> ort.InferenceSession:
        cuda = (_CUDA, {'use_tf32': int(self._options.precision != 'fp32')})
        try:
            return ort.InferenceSession(
                str(self._model.path), session_options(threads, self._options.spin_us),
                providers=[cuda, _CPU] if self._cuda else [_CPU])
        except Exception as error:  # ONNX Runtime raises its own, undocumented classes
            raise BackendError(f'ONNX Runtime {ort.__version__} cannot load {self._model.path}: '
                               f'{error}') from None


def _require_cuda() -> None:
    if _CUDA not in ort.get_available_providers():
        raise BackendError(f'ONNX Runtime {ort.__version__} here is built for the CPU only: '
                           'install onnxruntime-gpu in its place')
    gpu.probe()


def session_options(threads: int, spin_us: int = 0) -> ort.SessionOptions:
    """ONNX Runtime's options; what else was tried is in docs/backends.md."""
    session = ort.SessionOptions()
    session.intra_op_num_threads = threads
    session.inter_op_num_threads = 1
    entries = {'session.intra_op.allow_spinning': int(spin_us > 0)}
    if spin_us:
        # ONNX Runtime before 1.26 does not know the first, and spins to the end of the inference;
        # the second ends it there, because image transport needs the cores between two frames.
        entries |= {'session.intra_op.spin_duration_us': spin_us,
                    'session.force_spinning_stop': 1}
    for name, value in entries.items():
        session.add_session_config_entry(name, str(value))
    return session

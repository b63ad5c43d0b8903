"""ONNX Runtime on the CPU: the backend that every machine has."""

from __future__ import annotations

import os

import numpy as np
import onnxruntime as ort

from dense_perception.inference.backends.base import BackendError
from dense_perception.inference.model_file import ModelFile

ort.set_default_logger_severity(3)  # warnings about the environment are not the user's business


class OnnxRuntimeBackend:
    """One ONNX Runtime session on the CPU.

    :param model: the checked model file.
    :param threads: intra-op threads; 0 = one for each core this process may use.
    :raises BackendError: ONNX Runtime cannot load the graph, or the graph's inputs and outputs
        are not those the card names.
    """

    name = 'onnxruntime-cpu'

    def __init__(self, model: ModelFile, threads: int = 0) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
        options.inter_op_num_threads = 1
        # Spinning threads would take the cores that image transport needs between two frames.
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        try:
            self._session = ort.InferenceSession(str(model.path), options,
                                                 providers=['CPUExecutionProvider'])
        except Exception as error:  # ONNX Runtime raises its own, undocumented classes
            raise BackendError(f'ONNX Runtime {ort.__version__} cannot load {model.path}: '
                               f'{error}') from None
        self._outputs = [o.name for o in self._session.get_outputs()]
        self.input_names = frozenset(i.name for i in self._session.get_inputs())
        missing = set(model.card.outputs) - set(self._outputs)
        if missing:
            raise BackendError(f'{model.path}: the card promises outputs {sorted(missing)} that '
                               f'the graph does not have (it has {self._outputs})')

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See :class:`Backend`."""
        return dict(zip(self._outputs, self._session.run(self._outputs, inputs), strict=True))

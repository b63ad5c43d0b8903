"""ONNX Runtime on the CPU: the backend that every machine has."""

from __future__ import annotations

import os

import numpy as np
import onnxruntime as ort

from dense_perception.inference import card as names
from dense_perception.inference.backends.base import BackendError
from dense_perception.inference.card import ModelCard
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
        missing = set(model.card.outputs) - set(self._outputs)
        if missing:
            raise BackendError(f'{model.path}: the card promises outputs {sorted(missing)} that '
                               f'the graph does not have (it has {self._outputs})')
        shapes = {i.name: tuple(i.shape) for i in self._session.get_inputs()}
        wanted = _input_shapes(model.card)
        if shapes != wanted:
            raise BackendError(f'{model.path}: by its card the graph takes {wanted}, but it takes '
                               f'{shapes}; export the model again')

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See :class:`Backend`."""
        try:
            values = self._session.run(self._outputs, inputs)
        except Exception as error:  # ONNX Runtime raises its own, undocumented classes
            raise BackendError(f'ONNX Runtime failed on an image: {error}') from None
        return dict(zip(self._outputs, values, strict=True))


def _input_shapes(card: ModelCard) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {names.INPUT_IMAGE: (1, *card.input_size, 3)}
    if card.takes_mount:
        shapes |= {names.INPUT_INTRINSICS: (1, 4), names.INPUT_GRAVITY: (1, 3),
                   names.INPUT_CAMERA_HEIGHT: (1,)}
    return shapes

"""Inference backends by name. Each module is imported only when it is asked for."""

from __future__ import annotations

from dense_perception.inference.backends.base import Backend, BackendError
from dense_perception.inference.model_file import ModelFile

BACKENDS = ('onnxruntime',)
"""In the order in which ``auto`` tries them."""


def load_backend(model: ModelFile, name: str = 'auto', threads: int = 0) -> Backend:
    """Load a model into a backend.

    :param name: one of :data:`BACKENDS`, or ``auto`` for the first that works here.
    :param threads: CPU threads for backends that compute on the CPU; 0 = all of this process.
    :raises BackendError: the name is unknown or the backend cannot load the model.
    """
    if name not in ('auto', *BACKENDS):
        raise BackendError(f'unknown backend "{name}"; choose from auto, {", ".join(BACKENDS)}')
    try:
        from dense_perception.inference.backends.onnxruntime import OnnxRuntimeBackend
    except ImportError as error:
        raise BackendError(f'ONNX Runtime is not installed ({error}): '
                           'pip install onnxruntime') from None
    return OnnxRuntimeBackend(model, threads)

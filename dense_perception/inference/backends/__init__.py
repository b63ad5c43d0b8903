"""Inference backends by name. Each module is imported only when it is asked for."""

from __future__ import annotations

from dense_perception.inference.backends.base import (
    PRECISIONS,
    Backend,
    BackendError,
    BackendOptions,
)
from dense_perception.inference.backends.ladder import BACKENDS, Ladder, open_backend

__all__ = ['BACKENDS', 'PRECISIONS', 'Backend', 'BackendError', 'BackendOptions', 'Ladder',
           'open_backend']

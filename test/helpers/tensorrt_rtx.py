"""Does TensorRT for RTX parse a model file and build an engine of it? Neither needs a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from dense_perception.inference.backends import tensorrt_builder


def build_engine(path: Path, batch: int = 1) -> bytes:
    """The serialised engine of a model file.

    :raises BackendError: it does not parse or build; the message has TensorRT's reasons.
    """
    trt = pytest.importorskip('tensorrt_rtx', reason='TensorRT for RTX is not installed')
    return tensorrt_builder.build_engine(trt, path, tensorrt_builder.BuildOptions(batch=batch))

"""Does TensorRT for RTX parse a model file and build an engine of it? Neither needs a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest


def build_engine(path: Path) -> bytes:
    """The serialised engine of a model file.

    :raises AssertionError: it does not parse or build; the message has TensorRT's reasons.
    """
    trt = pytest.importorskip('tensorrt_rtx', reason='TensorRT for RTX is not installed')
    errors: list[str] = []

    class Log(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: object, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                errors.append(message)  # its functions return None without a reason

    log = Log()
    builder = trt.Builder(log)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, log)
    parsed = parser.parse_from_file(str(path))
    reasons = [parser.get_error(i).desc() for i in range(parser.num_errors)]
    assert parsed, f'TensorRT for RTX does not parse {path}: {reasons}'
    engine = builder.build_serialized_network(network, builder.create_builder_config())
    assert engine is not None, f'TensorRT for RTX does not build {path}: {errors}'
    return bytes(engine)

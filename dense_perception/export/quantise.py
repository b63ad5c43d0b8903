"""int8 model files: static quantisation with Q/DQ nodes, which every backend reads.

Weights and activations are symmetric, with zero point 0, as TensorRT requires; weights have one
scale per output channel. Only convolutions and matrix products are quantised.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from dense_perception.inference.card import METADATA_KEY
from dense_perception.inference.model_file import DATA_KEY, ModelFile

KEEP = ('stem', 'head')
"""First and last layers: few of the operations and most of the error."""

_QUANTISED = ['Conv', 'ConvTranspose', 'MatMul', 'Gemm']


class QuantiseError(RuntimeError):
    """A model file that cannot be quantised; the message says why."""


class _Reader(CalibrationDataReader):
    def __init__(self, inputs: Iterable[dict[str, np.ndarray]]) -> None:
        self._inputs: Iterator[dict[str, np.ndarray]] = iter(inputs)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._inputs, None)


def quantise(model: ModelFile, inputs: Iterable[dict[str, np.ndarray]], path: Path, name: str,
             keep: Iterable[str] = KEEP, percentile: float | None = None) -> list[str]:
    """Write an int8 model file.

    :param inputs: graph inputs of typical images: they give the ranges of the activations.
    :param name: of the new model, in its card.
    :param keep: parts of names of nodes or weights that stay float32.
    :param percentile: range of activations that is kept, e.g. 99.99; None = all of it.
    :returns: names of the nodes that stay float32 because of ``keep``.
    :raises QuantiseError: the model has a second file, is quantised already, or onnxruntime
        cannot quantise it; ``path`` is left as it was.
    """
    proto = onnx.load(model.path)
    if any(entry.key == DATA_KEY for entry in proto.metadata_props):
        raise QuantiseError(f'{model.path} has its weights in a second file, which is not '
                            'supported here')
    if any(node.op_type == 'QuantizeLinear' for node in proto.graph.node):
        raise QuantiseError(f'{model.path} is quantised already')
    _store_in_float32(proto)
    kept = _name_nodes(proto, tuple(keep))
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f'.{path.name}.') as folder:
        whole, small = Path(folder) / 'fp32.onnx', Path(folder) / path.name
        onnx.save(proto, whole)
        method = CalibrationMethod.MinMax if percentile is None else CalibrationMethod.Percentile
        # TensorRT adds biases in float32, and refuses to read int32 ones.
        extra = {'ActivationSymmetric': True, 'WeightSymmetric': True, 'QuantizeBias': False}
        if percentile is not None:
            extra['CalibPercentile'] = percentile
        level = logging.getLogger().level
        logging.getLogger().setLevel(logging.ERROR)  # its advice to run its own optimiser first
        try:
            quantize_static(
                whole, small, _Reader(inputs), quant_format=QuantFormat.QDQ, per_channel=True,
                activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
                op_types_to_quantize=_QUANTISED, nodes_to_exclude=kept, calibrate_method=method,
                extra_options=extra)
        except Exception as error:  # it raises whatever comes to it
            raise QuantiseError(f'onnxruntime cannot quantise {model.path}: {error!r}') from None
        finally:
            logging.getLogger().setLevel(level)
        result = onnx.load(small)
        card = replace(model.card, name=name, metrics={})  # they were measured with another file
        del result.metadata_props[:]
        helper.set_model_props(result, {METADATA_KEY: card.to_json()})
        onnx.save(result, small)
        os.replace(small, path)
    return kept


def add_metrics(path: Path, **metrics: object) -> None:
    """Write figures into the metrics of a model file's card."""
    card = ModelFile.open(path).card
    proto = onnx.load(path)
    helper.set_model_props(proto, {METADATA_KEY: replace(
        card, metrics={**card.metrics, **metrics}).to_json()})
    partial = path.with_name(f'.{path.name}.partial')
    onnx.save(proto, partial)
    os.replace(partial, path)


def _store_in_float32(proto: onnx.ModelProto) -> None:
    """Undo the storage of weights as float16 with a Cast: the quantiser looks for initialisers."""
    stored = {tensor.name: tensor for tensor in proto.graph.initializer}
    nodes = []
    for node in proto.graph.node:
        half = stored.get(node.input[0]) if node.op_type == 'Cast' else None
        if half is None or half.data_type != TensorProto.FLOAT16:
            nodes.append(node)
            continue
        values = numpy_helper.to_array(half).astype(np.float32)
        proto.graph.initializer.remove(half)
        proto.graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)


def _name_nodes(proto: onnx.ModelProto, keep: tuple[str, ...]) -> list[str]:
    """Give every node a name; names of those that ``keep`` means, by their own or an input's."""
    kept = []
    for index, node in enumerate(proto.graph.node):
        node.name = node.name or f'node_{index}'
        if any(part in name for part in keep for name in (node.name, *node.input)):
            kept.append(node.name)
    return kept

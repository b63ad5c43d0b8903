"""Write a model file: the deploy graph as ONNX, its card in the metadata, parity checked."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import json
import logging
import os
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from dense_perception.export.graph import DeployGraph
from dense_perception.export.merged_norms import NORMS_KEY, packed
from dense_perception.export.parity import (
    TOLERANCES,
    ExportError,
    Parity,
    check_parity,
    example_inputs,
)
from dense_perception.inference.card import METADATA_KEY, ModelCard
from dense_perception.inference.model_file import DATA_KEY, DATA_SUFFIX

__all__ = ['ExportError', 'Parity', 'export_model']

OPSET = 18
MAX_FILE_BYTES = 2_000_000_000
"""Of weights in one file: protobuf messages end at 2 GiB. More go to a second file beside it."""

HALF = '.half'
"""Suffix of the initialisers that are stored as float16."""

_MIN_HALF_ELEMENTS = 1024  # smaller tensors (biases, norms) stay float32: they weigh nothing


def export_model(model: nn.Module, card: ModelCard, path: Path, half_weights: bool = False,
                 in_place: bool = False, any_batch: bool = False) -> Parity:
    """Export a model to a model file at its card's input size.

    :param model: takes float (1, C, H, W), returns a dict with ``depth`` and/or ``logits``.
    :param half_weights: store large weights as float16 (the graph still computes in float32):
        half the file.
    :param in_place: fold ``model`` itself for this size and leave it so: spares a copy of it.
    :param any_batch: let the file take any number of images at once, for several cameras on a
        GPU, instead of one; models with attention get some more nodes by it.
    :returns: the measured parity with PyTorch.
    :raises ExportError: a weight is not finite, the file disagrees with PyTorch by more than the
        tolerance, or is not what the card says; ``path`` is left as it was.
    """
    _require_finite(model)
    card = replace(card, weights_sha256=_weights_digest(model))
    model = (model if in_place else copy.deepcopy(model)).eval().float()
    # Only of models that can be opened again.
    norms = packed(model, card.input_size) if hasattr(model, 'unfolded') else None
    if hasattr(model, 'fold_for_inference'):
        model.fold_for_inference(*card.input_size)
    graph = DeployGraph(model, card).eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written in a folder of its own, checked there, and only then put in place.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f'.{path.name}.') as folder:
        partial = Path(folder) / path.name
        proto = _proto(graph, half_weights, any_batch)
        if norms is not None:
            proto.metadata_props.add(key=NORMS_KEY, value=norms)
        _write(proto, partial)
        onnx.checker.check_model(partial)
        parity = check_parity(graph, partial, TOLERANCES[half_weights])
        _put_in_place(partial, path)
    return parity


def _proto(graph: DeployGraph, half_weights: bool, any_batch: bool) -> onnx.ModelProto:
    """The whole model file as a protobuf, however large."""
    inputs = example_inputs(graph.card, np.random.default_rng(0))
    proto = _to_onnx(graph, inputs, graph.card, any_batch)
    _strip_traces(proto)
    if half_weights:
        _halve_weights(proto)
    helper.set_model_props(proto, {METADATA_KEY: graph.card.to_json()})
    return proto


def _put_in_place(partial: Path, path: Path) -> None:
    """A file and its data change together: in between there is none rather than a wrong one."""
    data, final_data = (file.with_name(file.name + DATA_SUFFIX) for file in (partial, path))
    if data.exists() or final_data.exists():
        path.unlink(missing_ok=True)
        final_data.unlink(missing_ok=True)
    if data.exists():
        os.replace(data, final_data)
    os.replace(partial, path)


def _write(proto: onnx.ModelProto, path: Path) -> None:
    """One file, or two where the weights exceed what one can hold."""
    data = path.with_name(path.name + DATA_SUFFIX)
    size = sum(len(tensor.raw_data) for tensor in proto.graph.initializer)
    if size <= MAX_FILE_BYTES:
        onnx.save(proto, path)
        return
    onnx.external_data_helper.convert_model_to_external_data(proto, location=data.name)
    onnx.save(proto, path)  # writes the data, and leaves the tensors without
    properties = {entry.key: entry.value for entry in proto.metadata_props}
    helper.set_model_props(proto, {**properties, DATA_KEY: json.dumps(
        {'file': data.name, 'bytes': data.stat().st_size})})
    path.write_bytes(proto.SerializeToString())


def _to_onnx(graph: DeployGraph, inputs: dict[str, np.ndarray],
             card: ModelCard, any_batch: bool) -> onnx.ModelProto:
    # An axis of which there is one is taken for one that is always one.
    tensors = tuple(torch.from_numpy(np.repeat(v, 1 + any_batch, 0)) for v in inputs.values())
    axes = tuple({0: torch.export.Dim('batch')} for _ in tensors) if any_batch else None
    logging.getLogger('torch.onnx').setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter('ignore')  # the exporter's notes to itself
        program = torch.onnx.export(
            graph, tensors, dynamo=True, opset_version=OPSET, verbose=False,
            input_names=list(inputs), output_names=list(card.outputs), dynamic_shapes=axes)
    return program.model_proto


def _strip_traces(proto: onnx.ModelProto) -> None:
    """Drop the exporter's stack traces: they hold the paths of the exporting machine."""
    graph = proto.graph
    for entry in (*graph.node, *graph.initializer, *graph.value_info, *graph.input,
                  *graph.output, graph):
        del entry.metadata_props[:]
        entry.doc_string = ''


def _halve_weights(proto: onnx.ModelProto) -> None:
    """Store large float32 initialisers as float16 followed by a Cast, in place."""
    casts, halved = [], []
    for tensor in proto.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _MIN_HALF_ELEMENTS:
            continue
        stored = tensor.name + HALF
        halved.append((tensor, numpy_helper.from_array(values.astype(np.float16), stored)))
        casts.append(helper.make_node('Cast', [stored], [tensor.name], to=TensorProto.FLOAT))
    for original, half in halved:
        proto.graph.initializer.remove(original)
        proto.graph.initializer.append(half)
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend([*casts, *nodes])


def _require_finite(model: nn.Module) -> None:
    """NaN agrees with NaN wherever one looks, so parity would say nothing."""
    wrong = [name for name, value in model.state_dict().items()
             if value.is_floating_point() and not torch.isfinite(value).all()]
    if wrong:
        raise ExportError(f'weights that are not finite: {", ".join(wrong[:5])}'
                          + (f' and {len(wrong) - 5} more' if len(wrong) > 5 else ''))


def _weights_digest(model: nn.Module) -> str:
    """SHA-256 over names and values of the state dict."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()

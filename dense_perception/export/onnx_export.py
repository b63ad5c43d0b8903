"""Write a model file: the deploy graph as ONNX, its card in the metadata, parity checked."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import logging
import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from dense_perception.export.graph import DeployGraph
from dense_perception.inference import card as names
from dense_perception.inference.backends import load_backend
from dense_perception.inference.card import METADATA_KEY, ModelCard
from dense_perception.inference.model_file import ModelFile

OPSET = 18
_MIN_HALF_ELEMENTS = 1024  # smaller tensors (biases, norms) stay float32: they weigh nothing


class ExportError(RuntimeError):
    """A model that cannot be exported faithfully; the message gives the figures."""


@dataclass(frozen=True)
class Parity:
    """Agreement of the model file with the PyTorch graph it was made from.

    ``depth_error``: largest relative depth error where both give depth; ``depth_unknown``: share
    of pixels that only one of them calls unknown; ``labels_differ``: share of pixels with
    different labels.
    """

    depth_error: float
    depth_unknown: float
    labels_differ: float


# float32: rounding only. Half-precision weights: each weight is off by up to 2^-11.
TOLERANCES = {False: Parity(1e-3, 1e-4, 1e-4), True: Parity(2e-2, 5e-3, 5e-3)}


def export_model(model: nn.Module, card: ModelCard, path: Path, half_weights: bool = False,
                 ) -> Parity:
    """Export a model to a model file at its card's input size.

    :param model: takes float (1, C, H, W), returns a dict with ``depth`` and/or ``logits``.
    :param half_weights: store large weights as float16 (the graph still computes in float32):
        half the file.
    :returns: the measured parity with PyTorch.
    :raises ExportError: the file disagrees with PyTorch by more than the tolerance, or is not
        what the card says; nothing is left at ``path``.
    """
    card = replace(card, weights_sha256=_weights_digest(model))
    model = copy.deepcopy(model).eval().float()
    if hasattr(model, 'fold_for_inference'):
        model.fold_for_inference(*card.input_size)
    graph = DeployGraph(model, card).eval()
    inputs = example_inputs(card, np.random.default_rng(0))
    proto = _to_onnx(graph, inputs, card)
    _strip_traces(proto)
    if half_weights:
        _halve_weights(proto)
    helper.set_model_props(proto, {METADATA_KEY: card.to_json()})
    onnx.checker.check_model(proto)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'{path.name}.partial')
    try:
        onnx.save(proto, partial)
        parity = check_parity(graph, partial, TOLERANCES[half_weights])
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return parity


def example_inputs(card: ModelCard, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Plausible graph inputs: a smooth random image and, where the card has one, a mount."""
    height, width = card.input_size
    coarse = rng.integers(0, 256, (max(height // 16, 2), max(width // 16, 2), 3), dtype=np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    inputs = {names.INPUT_IMAGE: image[None]}
    if card.takes_mount:
        pitch = rng.uniform(0.0, 0.4)
        inputs[names.INPUT_INTRINSICS] = np.array(
            [[0.7 * width, 0.8 * height, width / 2, height / 2]], np.float32)
        inputs[names.INPUT_GRAVITY] = np.array([[0.0, np.cos(pitch), np.sin(pitch)]], np.float32)
        inputs[names.INPUT_CAMERA_HEIGHT] = np.array([rng.uniform(0.3, 1.5)], np.float32)
    return inputs


def check_parity(graph: DeployGraph, path: Path, tolerance: Parity, samples: int = 3) -> Parity:
    """Compare a model file with its PyTorch graph on a few inputs, with and without a mount.

    :raises ExportError: they differ by more than ``tolerance``.
    """
    backend = load_backend(ModelFile.open(path), 'onnxruntime', threads=1)
    rng = np.random.default_rng(1)
    worst = np.zeros(3)
    for sample in range(samples):
        inputs = example_inputs(graph.card, rng)
        if sample == 0 and graph.card.takes_mount:
            inputs[names.INPUT_CAMERA_HEIGHT][:] = 0
        with torch.no_grad():
            ours = graph(*(torch.from_numpy(v) for v in inputs.values()))
        theirs = backend.run(inputs)
        worst = np.maximum(worst, _differences({k: v.numpy() for k, v in ours.items()}, theirs))
    found = Parity(*(float(v) for v in worst))
    for name, limit in vars(tolerance).items():
        if getattr(found, name) > limit:
            raise ExportError(f'the model file disagrees with PyTorch: {name} is '
                              f'{getattr(found, name):.2e}, allowed {limit:.0e}')
    return found


def _differences(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> np.ndarray:
    error = unknown = labels = 0.0
    if names.OUTPUT_DEPTH in ours:
        a, b = ours[names.OUTPUT_DEPTH], theirs[names.OUTPUT_DEPTH]
        both = np.isfinite(a) & np.isfinite(b)
        unknown = np.mean(np.isfinite(a) != np.isfinite(b))
        a, b = a[both], b[both]
        error = float(np.max(np.abs(a - b) / np.maximum(np.abs(a), 1e-6), initial=0))
    if names.OUTPUT_LABELS in ours:
        labels = np.mean(ours[names.OUTPUT_LABELS] != theirs[names.OUTPUT_LABELS])
    return np.array([error, unknown, labels])


def _to_onnx(graph: DeployGraph, inputs: dict[str, np.ndarray],
             card: ModelCard) -> onnx.ModelProto:
    tensors = tuple(torch.from_numpy(v) for v in inputs.values())
    logging.getLogger('torch.onnx').setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter('ignore')  # the exporter's notes to itself
        program = torch.onnx.export(
            graph, tensors, dynamo=True, opset_version=OPSET, verbose=False,
            input_names=list(inputs), output_names=list(card.outputs))
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
        stored = f'{tensor.name}.half'
        halved.append((tensor, numpy_helper.from_array(values.astype(np.float16), stored)))
        casts.append(helper.make_node('Cast', [stored], [tensor.name], to=TensorProto.FLOAT))
    for original, half in halved:
        proto.graph.initializer.remove(original)
        proto.graph.initializer.append(half)
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend([*casts, *nodes])


def _weights_digest(model: nn.Module) -> str:
    """SHA-256 over names and values of the state dict."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()

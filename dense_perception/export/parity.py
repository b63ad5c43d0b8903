"""Does a model file say what the PyTorch model says, and how far apart may they be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from dense_perception.export.graph import DeployGraph
from dense_perception.inference import card as names
from dense_perception.inference.backends import BackendOptions, open_backend
from dense_perception.inference.card import ModelCard
from dense_perception.inference.model_file import ModelFile


class ExportError(RuntimeError):
    """A model that cannot be exported faithfully; the message gives the figures."""


@dataclass(frozen=True)
class Parity:
    """Agreement of a model file with the PyTorch graph it was made from.

    ``depth_error``: the largest error where both give depth, of metric depth relative to the
    pixel's depth, of relative and inverse depth to the map's largest value; ``depth_unknown``:
    share of pixels that only one of them calls unknown; ``labels_differ``: share of pixels with
    different labels; ``normal_error``: largest difference of a component of a normal;
    ``alpha_error``: of an opacity.
    """

    depth_error: float
    depth_unknown: float
    labels_differ: float
    normal_error: float
    alpha_error: float


# float32: rounding only. Half-precision weights: each weight is off by up to 2^-11. Two pixels of
# any image may have other labels: where two classes tie, rounding decides.
_TIES = 2
TOLERANCES = {False: Parity(1e-3, 1e-4, 1e-4, 1e-3, 1e-3),
              True: Parity(2e-2, 5e-3, 5e-3, 5e-2, 2e-2)}


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
    backend = open_backend('onnxruntime-cpu', ModelFile.open(path),
                           BackendOptions(threads=1, cpu_batch=samples))
    rng = np.random.default_rng(1)
    worst = np.zeros(5)
    images = [example_inputs(graph.card, rng) for _ in range(samples)]
    if graph.card.takes_mount:
        images[0][names.INPUT_CAMERA_HEIGHT][:] = 0
    batch = {name: np.concatenate([inputs[name] for inputs in images]) for name in images[0]}
    together = backend.run(batch) if backend.max_batch == samples else {}
    for sample, inputs in enumerate(images):
        with torch.no_grad():
            ours = graph(*(torch.from_numpy(v) for v in inputs.values()))
        theirs = {name: values[sample:sample + 1] for name, values in together.items()} \
            or backend.run(inputs)
        worst = np.maximum(worst, _differences({k: v.numpy() for k, v in ours.items()}, theirs,
                                               graph.card.depth_convention == 'metric'))
    found = Parity(*(float(v) for v in worst))
    ties = _TIES / (graph.card.input_height * graph.card.input_width)
    tolerance = replace(tolerance, labels_differ=max(tolerance.labels_differ, ties))
    for name, limit in vars(tolerance).items():
        # Not "greater than": a NaN is no agreement.
        if not getattr(found, name) <= limit:
            raise ExportError(f'the model file disagrees with PyTorch: {name} is '
                              f'{getattr(found, name):.2e}, allowed {limit:.0e}')
    return found


def _differences(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray],
                 metric: bool) -> np.ndarray:
    error = unknown = labels = normal = alpha = 0.0
    if names.OUTPUT_DEPTH in ours:
        a, b = ours[names.OUTPUT_DEPTH], theirs[names.OUTPUT_DEPTH]
        both = np.isfinite(a) & np.isfinite(b)
        unknown = np.mean(np.isfinite(a) != np.isfinite(b))
        a, b = a[both], b[both]
        scale = np.abs(a) if metric else np.max(np.abs(a), initial=0)
        error = float(np.max(np.abs(a - b) / np.maximum(scale, 1e-6), initial=0))
    if names.OUTPUT_LABELS in ours:
        labels = np.mean(ours[names.OUTPUT_LABELS] != theirs[names.OUTPUT_LABELS])
    if names.OUTPUT_NORMALS in ours:
        normal = float(np.nanmax(np.abs(ours[names.OUTPUT_NORMALS]
                                        - theirs[names.OUTPUT_NORMALS]), initial=0))
    if names.OUTPUT_ALPHA in ours:
        alpha = float(np.max(np.abs(ours[names.OUTPUT_ALPHA] - theirs[names.OUTPUT_ALPHA])))
    return np.array([error, unknown, labels, normal, alpha])

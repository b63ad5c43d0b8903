"""A detector as ONNX, by torchvision's own export.

This is no model file: it has no card, and no node reads it. What it gives follows torchvision.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path

import onnx
import torch

from dense_perception.export.parity import ExportError
from dense_perception.models.cednet import CEDNetDetector

OPSET = 16
OUTPUTS = ('boxes', 'scores', 'labels')


def export_detector(model: CEDNetDetector, path: Path, height: int, width: int) -> None:
    """Write a RetinaNet for images of one size.

    The file takes ``image``, float32 (3, height, width), RGB in 0..1, and gives ``boxes`` float32
    (N, 4), x0 y0 x1 y1 in its pixels, ``scores`` float32 (N,) and ``labels`` int64 (N,).

    :raises ExportError: the framework is another one. Mask R-CNN's RoIAlign becomes ONNX's only
        where torchvision has its compiled operators, and there this was never executed.
    """
    if model.config.framework != 'retinanet':
        raise ExportError(f'only a retinanet becomes an ONNX file, not a {model.config.framework}')
    model = model.eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f'.{path.name}.') as folder:
        partial = Path(folder) / path.name
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # the tracer's notes to itself
            # Not by dynamo: how many boxes remain depends on the image.
            torch.onnx.export(model, ([torch.rand(3, height, width)],), partial, dynamo=False,
                              opset_version=OPSET, input_names=['image'],
                              output_names=list(OUTPUTS))
        onnx.checker.check_model(partial)
        os.replace(partial, path)

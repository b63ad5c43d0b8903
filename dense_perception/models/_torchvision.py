"""Let timm import beside a CPU-only torch.

timm imports torchvision, whose PyPI wheels are built for CUDA. Beside a CPU-only torch their
compiled operators fail to load, and the import stops where it registers ``nms`` for shape
inference. Declaring the schema first is enough: nothing here runs that operator.
"""

from __future__ import annotations

import importlib

import torch
from torch import library as torch_library

_SCHEMAS = {
    'nms': '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor',
    'qnms': '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor'}
_library: torch_library.Library | None = None  # the declarations live as long as this object


def declare_torchvision_ops() -> None:
    """Declare torchvision's operators where its own library cannot (CPU-only torch)."""
    global _library
    if torch.version.cuda is not None or _library is not None:
        return
    _library = torch_library.Library('torchvision', 'DEF')
    for name, schema in _SCHEMAS.items():
        _library.define(f'{name}{schema}')


def provide_detection_ops() -> None:
    """What detectors need where torchvision's own operators cannot be loaded: the same in PyTorch.

    That is non-maximum suppression, and RoIAlign, of which torchvision has a version in PyTorch
    that it would compile for minutes first.
    """
    extension = importlib.import_module('torchvision.extension')
    if _library is None or extension._has_ops():
        return
    _library.impl('nms', _nms, 'CPU')
    # torchvision asks this before it calls the operator, which there is now.
    extension._has_ops = _there
    roi_align = importlib.import_module('torchvision.ops.roi_align')
    roi_align._roi_align = roi_align._roi_align.__wrapped__


def _there() -> bool:
    return True


def _nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Indices of the boxes (N, 4) to keep, by falling score."""
    from torchvision.ops import box_iou
    order = scores.argsort(descending=True, stable=True)
    overlapping = box_iou(boxes[order], boxes[order]) > iou_threshold
    kept = torch.ones(len(order), dtype=torch.bool)
    for index in range(len(order)):
        if kept[index]:
            kept[index + 1:] &= ~overlapping[index, index + 1:]
    return order[kept]

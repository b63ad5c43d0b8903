"""Let timm import beside a CPU-only torch.

timm imports torchvision, whose PyPI wheels are built for CUDA. Beside a CPU-only torch their
compiled operators fail to load, and the import stops where it registers ``nms`` for shape
inference. Declaring the schema first is enough: nothing here runs that operator.
"""

from __future__ import annotations

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

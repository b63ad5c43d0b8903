"""Pyramid pooling (PPM): what the whole image says, at several grain sizes (Zhao 2017)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from dense_perception.models.layers.convolution import ConvNorm

SCALES = (1, 2, 3, 6)


class PyramidPooling(nn.Module):
    """A map averaged to each grid of ``scales``, projected, brought back and fused with itself.

    ``forward``: float (B, in_channels, h, w) -> (B, channels, h, w).
    """

    def __init__(self, in_channels: int, channels: int,
                 scales: tuple[int, ...] = SCALES) -> None:
        super().__init__()
        self.scales = scales
        self.branches = nn.ModuleList(ConvNorm(in_channels, channels, 1) for _ in scales)
        self.fuse = ConvNorm(in_channels + len(scales) * channels, channels, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        size = x.shape[-2:]
        pooled = [F.interpolate(branch(average_to(x, scale)), size=size, mode='bilinear')
                  for branch, scale in zip(self.branches, self.scales, strict=True)]
        return self.fuse(torch.cat([x, *pooled], dim=1))


def average_to(x: torch.Tensor, cells: int) -> torch.Tensor:
    """Means over a grid of cells x cells, as ``adaptive_avg_pool2d``: (B, C, h, w) -> (B, C, ...).

    As two products with constant matrices, which every runtime has; cells of unequal size are
    more than ONNX's pooling can say.
    """
    rows, columns = (_shares(side, cells, x) for side in x.shape[-2:])
    return rows @ x @ columns.transpose(0, 1)


def _shares(side: int, cells: int, like: torch.Tensor) -> torch.Tensor:
    """What each of ``side`` positions contributes to each mean: (cells, side)."""
    rows = []
    for cell in range(cells):
        first, end = cell * side // cells, -(-(cell + 1) * side // cells)
        rows.append([1 / (end - first) if first <= i < end else 0.0 for i in range(side)])
    return torch.tensor(rows, dtype=like.dtype, device=like.device)

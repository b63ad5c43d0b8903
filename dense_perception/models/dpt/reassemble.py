"""Reassemble: tokens of a transformer block to a feature map (DPT, section 3)."""

from __future__ import annotations

import torch
from torch import nn

READOUTS = ('ignore', 'add', 'project')
FACTORS = (4, 2, 1, 0.5)
"""Resolution of the four levels, as factors of the token grid's."""


class Read(nn.Module):
    """What becomes of the readout (class) token.

    ``forward``: float (B, prefix + N, dim), the class token first -> float (B, N, dim).

    :param kind: ``ignore`` it, ``add`` it to every patch token, or ``project`` both together with
        a linear layer and a GELU.
    :param prefix: tokens in front of the patches; further ones (registers) are always dropped.
    """

    def __init__(self, kind: str, dim: int, prefix: int) -> None:
        super().__init__()
        self.kind, self.prefix = kind, prefix
        if kind == 'project':
            self.project = nn.Linear(2 * dim, dim)
            self.act = nn.GELU()

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """See the class."""
        patches = tokens[:, self.prefix:]
        if self.kind == 'ignore':
            return patches
        readout = tokens[:, :1]
        if self.kind == 'add':
            return patches + readout
        return self.act(self.project(torch.cat([patches, readout.expand_as(patches)], dim=-1)))


class Reassemble(nn.Module):
    """Read, concatenate, resample.

    ``forward``: float (B, prefix + h w, dim) and (h, w) -> float (B, channels, factor h,
    factor w). The paper resamples with 3x3 kernels throughout; the released weights, and so this,
    transpose with kernels as large as the stride. An odd grid is halved rounding up.

    :param factor: one of :data:`FACTORS`. Other parameters as in :class:`Read`.
    """

    def __init__(self, dim: int, channels: int, factor: float, readout: str, prefix: int) -> None:
        super().__init__()
        self.read = Read(readout, dim, prefix)
        self.project = nn.Conv2d(dim, channels, 1)
        self.resample: nn.Module = nn.Identity()
        if factor > 1:
            stride = int(factor)
            self.resample = nn.ConvTranspose2d(channels, channels, stride, stride)
        elif factor < 1:
            self.resample = nn.Conv2d(channels, channels, 3, round(1 / factor), 1)

    def forward(self, tokens: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        """See the class."""
        patches = self.read(tokens).transpose(1, 2).unflatten(2, grid)
        return self.resample(self.project(patches))

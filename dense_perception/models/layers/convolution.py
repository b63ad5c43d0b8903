"""Convolution, batch normalisation, ReLU."""

from __future__ import annotations

import torch
from torch import nn


class ConvNorm(nn.Module):
    """Float (B, in_channels, H, W) -> (B, out_channels, H, W); the size is kept."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return torch.relu(self.norm(self.conv(x)))

"""UPerNet's decoder (Xiao 2018) and the small convolutional head that trains beside it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from dense_perception.models.layers.convolution import ConvNorm
from dense_perception.models.layers.pooling import PyramidPooling

_DROPOUT = 0.1


class UPerNet(nn.Module):
    """Pyramid pooling on the coarsest map, a feature pyramid, all levels fused at the finest.

    ``forward``: maps float (B, ``channels[i]``, h_i, w_i), finest first -> float
    (B, ``width``, h_0, w_0). What reads it is one linear layer.
    """

    def __init__(self, channels: Sequence[int], width: int = 512) -> None:
        super().__init__()
        self.pooling = PyramidPooling(channels[-1], width)
        self.laterals = nn.ModuleList(ConvNorm(c, width, 1) for c in channels[:-1])
        self.smooth = nn.ModuleList(ConvNorm(width, width, 3) for _ in channels[:-1])
        self.fuse = ConvNorm(len(channels) * width, width, 3)
        self.dropout = nn.Dropout2d(_DROPOUT)

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """See the class."""
        coarse = self.pooling(maps[-1])
        levels = [coarse]
        for index in reversed(range(len(maps) - 1)):
            coarse = self.laterals[index](maps[index]) + resized(coarse, maps[index])
            levels.insert(0, self.smooth[index](coarse))
        return self.dropout(self.fuse(concatenated(levels)))


class FCNHead(nn.Module):
    """One 3x3 convolution and class logits.

    ``forward``: float (B, channels, h, w) -> float (B, num_classes, h, w).
    """

    def __init__(self, channels: int, num_classes: int, width: int = 256) -> None:
        super().__init__()
        self.conv = ConvNorm(channels, width, 3)
        self.dropout = nn.Dropout2d(_DROPOUT)
        self.linear = nn.Conv2d(width, num_classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self.linear(self.dropout(self.conv(x)))


class ConcatHead(nn.Module):
    """All levels at the finest one's size and one 3x3 convolution: for maps fused already.

    ``forward``: maps float (B, ``channels``, h_i, w_i), finest first -> float
    (B, ``channels``, h_0, w_0).
    """

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        self.fuse = ConvNorm(levels * channels, channels, 3)
        self.dropout = nn.Dropout2d(_DROPOUT)

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """See the class."""
        return self.dropout(self.fuse(concatenated(maps)))


def resized(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Bilinear, to the height and width of ``like``."""
    return F.interpolate(x, size=like.shape[-2:], mode='bilinear')


def concatenated(maps: list[torch.Tensor]) -> torch.Tensor:
    """All maps at the size of the first."""
    return torch.cat([maps[0], *(resized(x, maps[0]) for x in maps[1:])], dim=1)

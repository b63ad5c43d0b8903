"""Fusion of the reassembled maps, coarse to fine (DPT, section 3; after RefineNet)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


def upsample(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Bilinear with aligned corners, as DPT does it everywhere."""
    return F.interpolate(x, size=size, mode='bilinear', align_corners=True)


class ResidualConvUnit(nn.Module):
    """Two pre-activated 3x3 convolutions and a shortcut; float (B, C, H, W) -> the same.

    :param batch_norm: normalise after each convolution (segmentation), which then has no bias.
    """

    def __init__(self, channels: int, batch_norm: bool) -> None:
        super().__init__()
        for index in (1, 2):
            conv = nn.Conv2d(channels, channels, 3, padding=1, bias=not batch_norm)
            self.add_module(f'conv{index}', conv)
            self.add_module(f'norm{index}',
                            nn.BatchNorm2d(channels) if batch_norm else nn.Identity())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        y = self.norm1(self.conv1(F.relu(x)))
        return x + self.norm2(self.conv2(F.relu(y)))


class FeatureFusionBlock(nn.Module):
    """One stage of the fusion.

    ``forward``: float (B, C, h, w), what is coarser; the level's own map, of the same shape, or
    None at the coarsest; (H, W) of the result -> float (B, C, H, W).

    The coarsest block has nothing to add, so its ``residual1`` is not used. It is there because
    the released weights and the published counts have it.

    ``project_first`` projects before upsampling: the same result for a quarter of the work, as a
    1x1 convolution commutes with interpolation. Off until ``DPT.fold_for_inference``, so that
    MACs are the published ones.
    """

    def __init__(self, channels: int, batch_norm: bool) -> None:
        super().__init__()
        self.residual1 = ResidualConvUnit(channels, batch_norm)
        self.residual2 = ResidualConvUnit(channels, batch_norm)
        self.project = nn.Conv2d(channels, channels, 1)
        self.project_first = False

    def forward(self, x: torch.Tensor, level: torch.Tensor | None,
                size: tuple[int, int]) -> torch.Tensor:
        """See the class."""
        if level is not None:
            x = x + self.residual1(level)
        x = self.residual2(x)
        if self.project_first:
            return upsample(self.project(x), size)
        return self.project(upsample(x, size))

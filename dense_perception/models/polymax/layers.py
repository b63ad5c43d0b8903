"""What the parts of PolyMaX are made of.

Everything is channels first; cluster centres are maps of one column, float (B, C, K, 1), so that
pixels and clusters go through the same layers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

EPS = 1e-3  # of kMaX-DeepLab's batch normalisation


def norm(channels: int, gain: float = 1.0) -> nn.BatchNorm2d:
    """Batch normalisation whose gain starts at ``gain``; 0 switches a residual branch off."""
    layer = nn.BatchNorm2d(channels, eps=EPS)
    nn.init.constant_(layer.weight, gain)
    return layer


def conv_norm(in_channels: int, channels: int, kernel: int = 1, act: bool = True,
              gain: float = 1.0, groups: int = 1) -> nn.Sequential:
    """Convolution without bias, batch normalisation, and GELU unless ``act`` is off."""
    layers = [nn.Conv2d(in_channels, channels, kernel, padding=kernel // 2, groups=groups,
                        bias=False), norm(channels, gain)]
    return nn.Sequential(*layers, *([nn.GELU()] if act else []))


def separable(channels: int, kernel: int = 5) -> nn.Sequential:
    """A depthwise convolution and a 1x1 convolution, each normalised and activated."""
    return nn.Sequential(conv_norm(channels, channels, kernel, groups=channels),
                         conv_norm(channels, channels))


def resized(x: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    """Bilinear, float (B, C, h, w) -> (B, C, *size); what has that size is left as it is.

    Images of 32 k + 1 pixels have grids of 2^n k + 1 positions, the first and last of which lie on
    the image's corners; there corners are aligned. Even grids divide the image into cells.
    """
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode='bilinear', align_corners=size[0] % 2 == 1)

"""CED blocks and long-range (LR) CED blocks of every token mixer (CEDNet, section 3.3).

Every block takes and gives float (B, C, H, W).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from timm.layers import DropPath, LayerNorm2d, Mlp
from timm.models.convnext import ConvNeXtBlock
from timm.models.swin_transformer import SwinTransformerBlock
from torch import nn

_KERNEL, _DILATION = 7, 3
_WINDOW, _HEAD = 7, 32
_LARGE = (1024, 1024)  # timm shrinks windows to a map that is known to be small; ours is not


def depthwise(channels: int, dilation: int = 1) -> nn.Conv2d:
    """A 7x7 depthwise convolution that keeps the size."""
    return nn.Conv2d(channels, channels, _KERNEL, padding=_KERNEL // 2 * dilation,
                     dilation=dilation, groups=channels)


class LongRangeNeXtBlock(nn.Module):
    """A ConvNeXt block with a second, dilated depthwise convolution.

    Normalisation and GELU follow each convolution, which has a shortcut of its own; the MLP reads
    their sum as it is.
    """

    def __init__(self, channels: int, drop_path: float, layer_scale: float) -> None:
        super().__init__()
        self.local = nn.Sequential(depthwise(channels), _layer_norm(channels), nn.GELU())
        self.dilated = nn.Sequential(depthwise(channels, _DILATION), _layer_norm(channels),
                                     nn.GELU())
        self.mlp = Mlp(channels, 4 * channels)
        self.gamma = nn.Parameter(torch.full((channels,), layer_scale))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the module."""
        y = x + self.local(x)
        y = y + self.dilated(y)
        y = self.gamma * self.mlp(y.permute(0, 2, 3, 1))
        return x + self.drop_path(y.permute(0, 3, 1, 2))


class SwinBlock(SwinTransformerBlock):
    """timm's Swin block on channels-first maps of any size.

    :param shifted: shift the windows by half their size.
    :param long_range: add a dilated depthwise convolution between attention and MLP.
    """

    def __init__(self, channels: int, drop_path: float, shifted: bool, long_range: bool) -> None:
        super().__init__(channels, _LARGE, channels // _HEAD or 1, window_size=_WINDOW,
                         shift_size=_WINDOW // 2 if shifted else 0, always_partition=True,
                         dynamic_mask=True, drop_path=drop_path)
        self.dilated: nn.Sequential | None = None
        if long_range:
            self.dilated = nn.Sequential(_layer_norm(channels), depthwise(channels, _DILATION),
                                         _layer_norm(channels), nn.GELU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the module."""
        y = x.permute(0, 2, 3, 1)
        y = y + self.drop_path1(self._attn(self.norm1(y)))
        if self.dilated is not None:
            z = y.permute(0, 3, 1, 2)
            y = (z + self.dilated(z)).permute(0, 2, 3, 1)
        y = y + self.drop_path2(self.mlp(self.norm2(y)))
        return y.permute(0, 3, 1, 2)


class ResNetBlock(nn.Module):
    """A 3x3 convolution, then 1x1 to four times the channels and back, with BN and ReLU.

    :param long_range: add a dilated depthwise convolution after the first one.
    """

    def __init__(self, channels: int, drop_path: float, long_range: bool) -> None:
        super().__init__()
        self.local = _conv_norm(channels, channels, 3)
        self.dilated: nn.Sequential | None = None
        if long_range:
            self.dilated = nn.Sequential(depthwise(channels, _DILATION),
                                         nn.BatchNorm2d(channels))
        self.expand = _conv_norm(channels, 4 * channels, 1)
        self.project = _conv_norm(4 * channels, channels, 1)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the module."""
        y = torch.relu(self.local(x))
        if self.dilated is not None:
            y = y + torch.relu(self.dilated(y))
        y = self.project(torch.relu(self.expand(y)))
        return torch.relu(x + self.drop_path(y))


@dataclass(frozen=True)
class Mixer:
    """How a CEDNet of one token mixer is built.

    ``block``: (channels, number in its row, drop path, layer scale, long range) -> block.
    ``norm``: channels -> normalisation of everything outside the blocks. ``act``: of the stem.
    """

    block: Callable[[int, int, float, float, bool], nn.Module]
    norm: Callable[[int], nn.Module]
    act: Callable[[], nn.Module]


def _next(channels: int, number: int, drop_path: float, layer_scale: float,
          long_range: bool) -> nn.Module:
    if long_range:
        return LongRangeNeXtBlock(channels, drop_path, layer_scale)
    return ConvNeXtBlock(channels, ls_init_value=layer_scale, drop_path=drop_path)


def _swin(channels: int, number: int, drop_path: float, layer_scale: float,
          long_range: bool) -> nn.Module:
    return SwinBlock(channels, drop_path, number % 2 == 1, long_range)


def _resnet(channels: int, number: int, drop_path: float, layer_scale: float,
            long_range: bool) -> nn.Module:
    return ResNetBlock(channels, drop_path, long_range)


def _conv_norm(in_channels: int, out_channels: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels))


_layer_norm = partial(LayerNorm2d, eps=1e-6)

MIXERS: dict[str, Mixer] = {'next': Mixer(_next, _layer_norm, nn.GELU),
                            'swin': Mixer(_swin, _layer_norm, nn.GELU),
                            'resnet': Mixer(_resnet, nn.BatchNorm2d, nn.ReLU)}

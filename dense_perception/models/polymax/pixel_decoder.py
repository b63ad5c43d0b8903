"""The pixel decoder: residual blocks on 1/32 to 1/4, coarse to fine (kMaX-DeepLab)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from timm.layers import LayerNorm2d
from torch import nn

from dense_perception.models.polymax.axial import AxialAttention
from dense_perception.models.polymax.config import PolyMaXConfig
from dense_perception.models.polymax.layers import conv_norm, resized

EXPANSION = 4
STRIDES = (32, 16, 8, 4)


class Block(nn.Module):
    """A residual block whose input is activated first, shortcut included, and its output not.

    ``forward``: float (B, channels, H, W) -> (B, 4 ``dim``, H, W).

    :param middle: what lies between the two 1x1 convolutions.
    :param width: channels that it takes.
    """

    def __init__(self, channels: int, dim: int, width: int, middle: nn.Module) -> None:
        super().__init__()
        self.reduce = conv_norm(channels, width)
        self.middle = middle
        self.expand = conv_norm(getattr(middle, 'channels', dim), EXPANSION * dim, act=False,
                                gain=0.0)
        self.shortcut = (nn.Identity() if channels == EXPANSION * dim else
                         conv_norm(channels, EXPANSION * dim, act=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        x = F.gelu(x)
        return self.shortcut(x) + self.expand(self.middle(self.reduce(x)))


class Axial(nn.Sequential):
    """Attention along columns, then along rows: float (B, 2 dim, H, W) -> the same.

    :param grid: (height, width) that position tables are made for.
    """

    def __init__(self, dim: int, heads: int, positions: str, grid: tuple[int, int]) -> None:
        super().__init__(*(AxialAttention(2 * dim, dim, heads, axis, positions, length)
                           for axis, length in zip((2, 3), grid, strict=True)))
        self.channels = 2 * dim

    def fold(self, grid: tuple[int, int]) -> None:
        """Compute position embeddings of one grid once; in place, for export."""
        for attention, length in zip(self, grid, strict=True):
            attention.fold(length)


class Fuse(nn.Module):
    """A coarser map and the encoder's next finer one, as one of ``dim`` channels.

    ``forward``: float (B, channels[0], h, w), (B, channels[1], H, W) -> (B, dim, H, W). Each is
    activated, projected and then resized; what has ``dim`` channels is only resized.
    """

    def __init__(self, channels: Sequence[int], dim: int) -> None:
        super().__init__()
        self.project = nn.ModuleList(
            nn.Identity() if count == dim else
            nn.Sequential(nn.GELU(), conv_norm(count, dim, act=False)) for count in channels)

    def forward(self, coarse: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return (resized(self.project[0](coarse), fine.shape[-2:])
                + self.project[1](fine))


class PixelDecoder(nn.Module):
    """Encoder features to the pixels' features at four resolutions.

    ``forward``: the encoder's maps, finest first -> float (B, 4 ``dims[i]``, h, w), not activated,
    coarsest first; ``channels`` are theirs.

    :param in_channels: of the encoder's maps, finest first.
    """

    def __init__(self, in_channels: Sequence[int], config: PolyMaXConfig) -> None:
        super().__init__()
        coarse_first = list(reversed(in_channels))
        self.channels = [EXPANSION * dim for dim in config.dims]
        self.norms = nn.ModuleList(LayerNorm2d(channels) for channels in coarse_first)
        self.fuse = nn.ModuleList(
            Fuse((self.channels[level], coarse_first[level + 1]), config.dims[level + 1])
            for level in range(len(coarse_first) - 1))
        self.stages = nn.ModuleList(
            _stage(coarse_first[0] if level == 0 else config.dims[level], level, config)
            for level in range(len(coarse_first)))

    def forward(self, features: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """See the class."""
        normed = [norm(x) for norm, x in zip(self.norms, reversed(features), strict=True)]
        outputs = [self.stages[0](normed[0])]
        for fuse, stage, fine in zip(self.fuse, self.stages[1:], normed[1:], strict=True):
            outputs.append(stage(fuse(outputs[-1], fine)))
        return outputs

    def fold_for_inference(self, height: int, width: int) -> None:
        """Compute position embeddings for one input size once; in place, for export."""
        for stage, stride in zip(self.stages, STRIDES, strict=True):
            for module in stage.modules():
                if isinstance(module, Axial):
                    module.fold(grid_of((height, width), stride))


def grid_of(size: tuple[int, int], stride: int) -> tuple[int, int]:
    """Rows and columns of the map at 1 / ``stride`` of an image of (height, width)."""
    return -(-size[0] // stride), -(-size[1] // stride)


def _stage(channels: int, level: int, config: PolyMaXConfig) -> nn.Sequential:
    dim, blocks = config.dims[level], []
    for _ in range(config.blocks[level]):
        if config.kinds[level] == 'axial':
            grid = grid_of(config.image_size, STRIDES[level])
            middle = Axial(dim, config.attention_heads, config.positions, grid)
            blocks.append(Block(channels, dim, 2 * dim, middle))
        else:
            blocks.append(Block(channels, dim, dim, conv_norm(dim, dim, 3)))
        channels = EXPANSION * dim
    return nn.Sequential(*blocks)

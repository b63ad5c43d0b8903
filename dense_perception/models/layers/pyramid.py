"""Post Feature Pyramid (PFP): maps of a hierarchical decoder to the pixel grid (xNet, III-A)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from dense_perception.models.layers.reshape import ReShape


class PostFeaturePyramid(nn.Module):
    """Maps at 1/4, 1/8, ... re-shaped to 1/4, concatenated, fused by one more RS to the pixels.

    ``forward``: a list of float (B, ``channels[i]``, H / (4 * 2^i), W / (4 * 2^i)) ->
    float (B, ``width``, H, W).

    :param read: which of the maps are read; the paper's PFP reads all.
    :param blend: side of a depthwise convolution over the concatenated maps, 0 for none as in the
        paper. It makes the last RS a ConvNeXt block: without it no pixel of a coarse map's
        position sees the next position, and edges follow their grid. Changes nothing at first.
    :param options: ``norm`` and ``act`` of the RS.
    """

    def __init__(self, channels: Sequence[int], width: int, read: tuple[int, ...] = (0, 1, 2, 3),
                 blend: int = 0, **options: Any) -> None:
        super().__init__()
        self.read = read
        self.levels = nn.ModuleList(ReShape(channels[i], width, 2 ** i, **options) for i in read)
        self.blend = _blend(width * len(read), blend) if blend else nn.Identity()
        self.fuse = ReShape(width * len(read), width, 4, **options)

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """See the class."""
        levels = [rs(maps[i]) for rs, i in zip(self.levels, self.read, strict=True)]
        return self.fuse(self.blend(torch.cat(levels, dim=1)))

    def take_tail(self) -> tuple[nn.PixelShuffle, nn.Conv2d]:
        """Remove and return the last, linear layer and the shuffle before it; in place.

        For a head that absorbs them.
        """
        tail = self.fuse.shuffle, self.fuse.fc2
        self.fuse.shuffle, self.fuse.fc2 = nn.Identity(), nn.Identity()
        return tail


def _blend(channels: int, side: int) -> nn.Conv2d:
    """A depthwise convolution that begins as the identity.

    It draws no random numbers, so that a seed gives all other weights their values without it.
    """
    with torch.random.fork_rng(devices=[]):
        convolution = nn.Conv2d(channels, channels, side, padding=side // 2, groups=channels)
    nn.init.dirac_(convolution.weight, groups=channels)
    nn.init.zeros_(convolution.bias)
    return convolution

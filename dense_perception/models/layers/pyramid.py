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
    :param options: ``norm`` and ``act`` of the RS.
    """

    def __init__(self, channels: Sequence[int], width: int, read: tuple[int, ...] = (0, 1, 2, 3),
                 **options: Any) -> None:
        super().__init__()
        self.read = read
        self.levels = nn.ModuleList(ReShape(channels[i], width, 2 ** i, **options) for i in read)
        self.fuse = ReShape(width * len(read), width, 4, **options)

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """See the class."""
        levels = [rs(maps[i]) for rs, i in zip(self.levels, self.read, strict=True)]
        return self.fuse(torch.cat(levels, dim=1))

    def take_tail(self) -> tuple[nn.PixelShuffle, nn.Conv2d]:
        """Remove and return the last, linear layer and the shuffle before it; in place.

        For a head that absorbs them.
        """
        tail = self.fuse.shuffle, self.fuse.fc2
        self.fuse.shuffle, self.fuse.fc2 = nn.Identity(), nn.Identity()
        return tail

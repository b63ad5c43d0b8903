"""The last stage's decoder at one width, where what follows wants all levels alike."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from timm.layers import LayerNorm2d
from torch import nn

from dense_perception.models.cednet.stages import doubled
from dense_perception.models.layers.pooling import PyramidPooling

_norm = partial(LayerNorm2d, eps=1e-6)


class LastDecoder(nn.Module):
    """Each level of the last encoder to ``width``, then fused from coarse to fine.

    ``forward``: float (B, ``channels[i]``, h / 2^i, w / 2^i), finest first -> as many float
    (B, ``width``, h / 2^i, w / 2^i), and ``extra`` levels at half the size each.

    In place of the decoder that every stage has: of the levels' own widths nothing but the sum of
    each would be left. With widths of 256 and two extra levels a RetinaNet of CEDNet-NeXt-T has
    the 38.6M parameters of the paper's Table 8.

    :param pooled: pyramid pooling brings the coarsest level to ``width``.
    :param smooth: a 3x3 convolution on the finest level, with which a Mask R-CNN of CEDNet-NeXt-T
        has the 274 GMACs of Table 2.
    """

    def __init__(self, channels: Sequence[int], width: int, extra: int = 0,
                 pooled: bool = False, smooth: bool = False) -> None:
        super().__init__()
        self.reduce = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, width, 1), _norm(width)) for c in channels)
        if pooled:
            self.reduce[-1] = PyramidPooling(channels[-1], width)
        self.norm = nn.ModuleList(_norm(width) for _ in channels[:-1])
        self.smooth = nn.Sequential()
        if smooth:
            self.smooth.extend([nn.Conv2d(width, width, 3, padding=1), _norm(width)])
        self.extra = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, 2, 1), _norm(width)) for _ in range(extra))

    def forward(self, maps: list[torch.Tensor]) -> list[torch.Tensor]:
        """See the class."""
        levels = [reduce(x) for reduce, x in zip(self.reduce, maps, strict=True)]
        for index in reversed(range(len(levels) - 1)):
            levels[index] = self.norm[index](levels[index] + doubled(levels[index + 1]))
        levels[0] = self.smooth(levels[0])
        for down in self.extra:
            levels.append(down(levels[-1]))
        return levels

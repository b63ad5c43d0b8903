"""CEDNet: cascaded encoder-decoders, in which coarse features guide fine ones from early on.

Zhang, Li, Tang, Li, Hu: "CEDNet: A Cascade Encoder-Decoder Network for Dense Prediction" (2023)::

    image --> stem, blocks --> c2 --> down --> stage 1 --> c3' --> stage 2 --> ... --> stage m
               1/2, 1/4                        c3 c4 c5            c3 c4 c5           c3 c4 c5
"""

from __future__ import annotations

import torch
from timm.layers import DropPath, trunc_normal_
from torch import nn

from dense_perception.models.cednet.blocks import MIXERS
from dense_perception.models.cednet.config import BackboneConfig
from dense_perception.models.cednet.stages import Stage, downsampling
from dense_perception.models.inputs import require_multiple

STRIDE = 32
_STEM = 32


class CEDNet(nn.Module):
    """Stem and cascade.

    ``forward``: float (B, in_chans, H, W), H and W multiples of 32 -> c2, float
    (B, C0, H / 4, W / 4), and for each stage its three maps at 1/8, 1/16 and 1/32, of which the
    next stage reads only the first. The last stage has them from its decoder if it has one.

    :param last_decoder: build the last stage's decoder. Classification reads 1/32 only, and some
        heads fuse the levels themselves.
    """

    def __init__(self, config: BackboneConfig, in_chans: int = 3,
                 last_decoder: bool = True) -> None:
        super().__init__()
        self.config, self.in_chans = config, in_chans
        mixer = MIXERS[config.mixer]
        made: list[nn.Module] = []  # in the order in which they run

        def blocks(channels: int, count: int, long_range: bool) -> nn.Sequential:
            row = [mixer.block(channels, number, config.drop_path, config.layer_scale, long_range)
                   for number in range(count)]
            made.extend(row)
            return nn.Sequential(*row)

        width = config.stem_channels
        self.stem = nn.Sequential(
            nn.Conv2d(in_chans, _STEM, 3, 2, 1), mixer.norm(_STEM), mixer.act(),
            nn.Conv2d(_STEM, width, 3, 2, 1), mixer.norm(width), mixer.act())
        self.blocks = blocks(width, config.blocks[0], False)
        self.down = downsampling(width, config.channels[0], mixer)
        self.stages = nn.ModuleList()
        for number in range(1, config.stages + 1):
            last = number == config.stages
            self.stages.append(Stage(config, mixer, blocks, last_decoder or not last, last))
        _raise_drop_path(made, config.drop_path)
        self.apply(_initialise)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[list[torch.Tensor]]]:
        """See the class.

        :raises ValueError: H or W is no multiple of 32; the message proposes the next size.
        """
        require_multiple(x, STRIDE)
        c2 = self.blocks(self.stem(x))
        y = self.down(c2)
        stages = []
        for stage in self.stages:
            maps = stage(y)
            stages.append(maps)
            y = maps[0]
        return c2, stages


def _raise_drop_path(blocks: list[nn.Module], highest: float) -> None:
    """Linearly from 0 at the first block to ``highest`` at the last, in their order."""
    for number, block in enumerate(blocks):
        for module in block.modules():
            if isinstance(module, DropPath):
                module.drop_prob = highest * number / max(len(blocks) - 1, 1)


def _initialise(module: nn.Module) -> None:
    """As ConvNeXt does."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)

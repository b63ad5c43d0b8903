"""One encoder-decoder of the cascade, in FPN, UNet and Hourglass style (CEDNet, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from dense_perception.models.cednet.blocks import Mixer
from dense_perception.models.cednet.config import BackboneConfig

Blocks = Callable[[int, int, bool], nn.Sequential]
"""(channels, how many, long range) -> so many blocks in a row."""


def doubled(x: torch.Tensor) -> torch.Tensor:
    """Bilinear, to twice the size."""
    return F.interpolate(x, scale_factor=2.0, mode='bilinear')


def downsampling(in_channels: int, out_channels: int, mixer: Mixer) -> nn.Sequential:
    """To half the size: a 2x2 convolution of stride 2, normalised."""
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 2, 2), mixer.norm(out_channels))


class Level(nn.Module):
    """Blocks at one resolution of an encoder, and the way down to it.

    :param in_channels: of the level above; None for the first, which has no way down.
    """

    def __init__(self, in_channels: int | None, channels: int, count: int, long_range: bool,
                 mixer: Mixer, blocks: Blocks) -> None:
        super().__init__()
        self.down = (nn.Identity() if in_channels is None else
                     downsampling(in_channels, channels, mixer))
        self.blocks = blocks(channels, count, long_range)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self.blocks(self.down(x))


class Decoder(nn.Module):
    """From 1/32 up to 1/8: what is coarser is projected, upsampled, added and normalised.

    ``forward``: the encoder's maps at 1/8, 1/16, 1/32 -> a list of three of the same shapes, the
    last as it was (but for the 3x3 convolution of ``fpn3x3``). Hourglass has a block on the
    encoder's map before the sum; UNet and Hourglass have blocks after it.

    :param last: all three maps are read, and not only the finest by another stage.
    """

    def __init__(self, config: BackboneConfig, mixer: Mixer, blocks: Blocks, last: bool) -> None:
        super().__init__()
        fine, middle, coarse = config.channels
        self.project = nn.ModuleList([nn.Conv2d(coarse, middle, 1), nn.Conv2d(middle, fine, 1)])
        self.norm = nn.ModuleList([mixer.norm(middle), mixer.norm(fine)])
        counts = [0, 0] if config.style.startswith('fpn') else [
            count - count // 2 for count in (config.blocks[2], config.blocks[1])]
        lateral = int(config.style == 'hourglass')
        self.lateral, self.blocks = nn.ModuleList(), nn.ModuleList()
        for channels, count in zip((middle, fine), counts, strict=True):
            # In the order in which they run, in which drop path rises.
            self.lateral.append(blocks(channels, lateral, False))
            self.blocks.append(blocks(channels, count, False))
        self.smooth: nn.ModuleList | None = None
        if config.style == 'fpn3x3':
            self.smooth = nn.ModuleList(
                nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), mixer.norm(channels))
                for channels in config.channels)
            if not last:  # they count, but nothing reads them
                self.smooth[1:].requires_grad_(False)

    def forward(self, maps: list[torch.Tensor]) -> list[torch.Tensor]:
        """See the class."""
        decoded = [maps[-1]]
        for index, x in enumerate(reversed(maps[:-1])):
            x = self.lateral[index](x) + doubled(self.project[index](decoded[0]))
            decoded.insert(0, self.blocks[index](self.norm[index](x)))
        if self.smooth is not None:
            decoded = [smooth(x) for smooth, x in zip(self.smooth, decoded, strict=True)]
        return decoded


class Stage(nn.Module):
    """An encoder from 1/8 to 1/32 and, except where nothing reads it, its decoder.

    ``encode``: float (B, C1, H / 8, W / 8) -> the maps at 1/8, 1/16, 1/32. ``forward``: those,
    decoded where there is a decoder.

    :param decodes: build the decoder.
    :param last: see :class:`Decoder`.
    """

    def __init__(self, config: BackboneConfig, mixer: Mixer, blocks: Blocks, decodes: bool,
                 last: bool) -> None:
        super().__init__()
        counts = list(config.blocks[1:])
        if not config.style.startswith('fpn'):
            counts[:2] = [count // 2 for count in counts[:2]]
        above = (None, *config.channels[:-1])
        self.layers = nn.ModuleList(
            Level(before, channels, count, long_range, mixer, blocks)
            for before, channels, count, long_range in zip(
                above, config.channels, counts, (False, False, True), strict=True))
        self.decoder = Decoder(config, mixer, blocks, last) if decodes else None

    def encode(self, x: torch.Tensor) -> list[torch.Tensor]:
        """See the class."""
        maps = []
        for level in self.layers:
            x = level(x)
            maps.append(x)
        return maps

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """See the class."""
        maps = self.encode(x)
        return maps if self.decoder is None else self.decoder(maps)

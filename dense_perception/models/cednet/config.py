"""What defines a CEDNet."""

from __future__ import annotations

from dataclasses import dataclass

STYLES = ('fpn', 'fpn3x3', 'unet', 'hourglass')
MIXERS = ('next', 'swin', 'resnet')
NO_CSWIN = 'cross-shaped windows (CSWin) are not among them: timm has none'


@dataclass(frozen=True)
class BackboneConfig:
    """A stem and ``stages`` encoder-decoders in a row (CEDNet, section 3).

    ``stem_channels``, ``channels``: C of the paper, at 1/4 and at 1/8, 1/16, 1/32. ``blocks``: B
    of the paper, blocks at 1/4 and, in every stage, at 1/8, 1/16, 1/32. ``style``: of the stages;
    ``fpn3x3`` is FPN with the 3x3 convolutions that the paper leaves out. ``mixer``: what mixes
    positions in a block: a 7x7 depthwise convolution (``next``), shifted windows (``swin``) or a
    3x3 convolution (``resnet``). ``drop_path``: of the last block, rising linearly from 0.
    ``layer_scale``: its initial value (of ``next``).

    :raises ValueError: a choice that does not exist, or numbers that are not one per level.
    """

    stem_channels: int = 96
    channels: tuple[int, ...] = (192, 352, 512)
    blocks: tuple[int, ...] = (3, 2, 4, 2)
    stages: int = 3
    style: str = 'fpn'
    mixer: str = 'next'
    drop_path: float = 0.0
    layer_scale: float = 1e-6

    def __post_init__(self) -> None:
        for name in ('channels', 'blocks'):  # JSON has lists only
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.style not in STYLES:
            raise ValueError(f'style "{self.style}" is unknown; choose from {", ".join(STYLES)}')
        if self.mixer not in MIXERS:
            raise ValueError(f'mixer "{self.mixer}" is unknown; choose from {", ".join(MIXERS)}; '
                             f'{NO_CSWIN}')
        if len(self.channels) != 3 or len(self.blocks) != 4:
            raise ValueError(f'channels {self.channels} must be 3 (at 1/8, 1/16, 1/32) and blocks '
                             f'{self.blocks} 4 (at 1/4 and those)')
        if self.stages < 1:
            raise ValueError(f'stages {self.stages} must be 1 or more')


@dataclass(frozen=True)
class ClassifierConfig(BackboneConfig):
    """A CEDNet that classifies images.

    ``num_classes``: of the classifier. ``deep_supervision``: one head per stage in training, as
    in the public code; otherwise only the last stage's. ``in_chans``: of the images.
    """

    num_classes: int = 1000
    deep_supervision: bool = True
    in_chans: int = 3


_TINY = BackboneConfig()

ARCHITECTURES: dict[str, BackboneConfig] = {
    'cednet_next_tiny': _TINY,
    'cednet_next_small': BackboneConfig(blocks=(3, 2, 7, 2), stages=4),
    'cednet_next_base': BackboneConfig(128, (256, 448, 704), (3, 2, 7, 2), 4),
    'cednet_next_tiny_unet': BackboneConfig(style='unet'),
    'cednet_next_tiny_hourglass': BackboneConfig(channels=(160, 320, 512), style='hourglass'),
    'cednet_next_tiny_fpn3x3': BackboneConfig(channels=(160, 304, 448), style='fpn3x3'),
    'cednet_resnet50_tiny': BackboneConfig(64, (128, 256, 384), (3, 1, 4, 2), mixer='resnet'),
    'cednet_swin_tiny': BackboneConfig(channels=(160, 288, 416), mixer='swin')}
"""Name, here and in timm's registry -> backbone."""

"""xNet: a pre-trained encoder times a pre-trained decoder.

Ning et al., "Is Pre-training Applicable to the Decoder for Dense Prediction?".

The decoder is a classification backbone run the way it was trained, from high to low resolution
("reversed"). What the encoder saw is re-shaped (RS) to the resolution of the decoder's stem and
mixed in there, or into the RGB image itself (xNet-I). A Post Feature Pyramid (PFP) brings the four
decoder stages to the pixel grid, and linear heads read it.

Not given in the paper, and so our reading: the widths inside RS (its output's width), the PFP's
width (that of the decoder's stem), the depth head's activation, and the neutral start of RS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import timm
import torch
from timm.layers import LayerNorm2d
from torch import nn

from dense_perception.models.encoders import HierarchicalEncoder, require_timm_model
from dense_perception.models.heads.dense import DenseHead
from dense_perception.models.layers.reshape import ReShape, mix, neutral_value
from dense_perception.models.registry import register_model

MIX_WITH = ('stem', 'image')
OPERATIONS = ('multiply', 'add')
NORMS: dict[str, Callable[[int], nn.Module]] = {'layer': LayerNorm2d, 'batch': nn.BatchNorm2d}
ACTS: dict[str, Callable[[], nn.Module]] = {'gelu': nn.GELU, 'relu': nn.ReLU}
STRIDE = 32


@dataclass(frozen=True)
class XNetConfig:
    """What defines an xNet.

    ``encoder``, ``decoder``: timm names; the decoder a ConvNeXt or ConvNeXtV2 of any size.
    ``mix_with``: ``stem`` (xNet) or ``image`` (xNet-I). ``width``: channels of the PFP and the RS
    hidden layers; None = the decoder stem's. ``norm`` and ``act`` are those of RS, and of the
    decoder where its options say so. ``depth`` is the depth head's activation or None.
    ``mount_channels``: input channels beside RGB (see ``models.inputs``).
    """

    encoder: str = 'convnext_tiny.fb_in22k'
    decoder: str = 'convnext_tiny.fb_in22k'
    encoder_options: Mapping[str, Any] = field(default_factory=dict)
    decoder_options: Mapping[str, Any] = field(default_factory=dict)
    mix_with: str = 'stem'
    operation: str = 'multiply'
    width: int | None = None
    norm: str = 'layer'
    act: str = 'gelu'
    depth: str | None = 'sigmoid'
    max_depth: float = 10.0
    num_classes: int = 0
    mount_channels: int = 0
    pretrained: bool = False

    def __post_init__(self) -> None:
        for value, choices, what in ((self.mix_with, MIX_WITH, 'mix_with'),
                                     (self.operation, OPERATIONS, 'operation'),
                                     (self.norm, tuple(NORMS), 'norm'),
                                     (self.act, tuple(ACTS), 'act')):
            if value not in choices:
                raise ValueError(f'{what} "{value}" is unknown; choose from {", ".join(choices)}')


class XNet(nn.Module):
    """xNet for depth and segmentation from one trunk.

    ``forward``: float (B, 3 + mount_channels, H, W), normalised; H and W multiples of 32 ->
    dict with ``depth`` (B, H, W) and ``logits`` (B, num_classes, H, W) as configured.

    >>> model = XNet(XNetConfig('convnext_tiny', 'convnext_tiny', num_classes=150))
    >>> {k: tuple(v.shape) for k, v in model(torch.zeros(1, 3, 64, 96)).items()}
    {'depth': (1, 64, 96), 'logits': (1, 150, 64, 96)}

    :raises ValueError: a configuration or a timm name that does not exist.
    """

    def __init__(self, config: XNetConfig) -> None:
        super().__init__()
        self.config = config
        self.in_chans = 3 + config.mount_channels
        reshape = partial(ReShape, norm=NORMS[config.norm], act=ACTS[config.act])
        self.encoder = HierarchicalEncoder(config.encoder, self.in_chans, config.pretrained,
                                           **config.encoder_options)
        self.decoder = _Decoder(config, self.in_chans)
        stem_width = self.decoder.channels[0]
        width = config.width or stem_width
        # RS: from the encoder's 1/32 to what it is mixed with: the stem's output at 1/4 (xNet)
        # or the image itself (xNet-I).
        if config.mix_with == 'stem':
            self.reshape = reshape(self.encoder.out_channels, stem_width, STRIDE // 4,
                                   hidden=config.width)
        else:
            self.reshape = reshape(self.encoder.out_channels, self.in_chans, STRIDE)
        self.reshape.make_neutral(neutral_value(config.operation))
        # PFP: every decoder stage to 1/4, concatenated, fused by another RS to the pixel grid.
        self.pyramid = nn.ModuleList(
            reshape(channels, width, 2 ** stage)
            for stage, channels in enumerate(self.decoder.channels))
        self.fuse = reshape(width * len(self.pyramid), width, 4)
        self.head = DenseHead(width, config.depth, config.num_classes, config.max_depth)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """See the class.

        :raises ValueError: H or W is not a multiple of 32; the message proposes the next size.
        """
        self._check_size(x)
        return self.head(self.features(x))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """What the heads read: float (B, width, H, W)."""
        stages = self.decode(x, self.reshape(self.encoder(x)))
        levels = [rs(stage) for rs, stage in zip(self.pyramid, stages, strict=True)]
        return self.fuse(torch.cat(levels, dim=1))

    def decode(self, x: torch.Tensor, encoded: torch.Tensor) -> list[torch.Tensor]:
        """The decoder's four stages, at 1/4 to 1/32, with the encoded features mixed in."""
        operation = self.config.operation
        if self.config.mix_with == 'image':
            return self.decoder.stages_of(self.decoder.stem(mix(x, encoded, operation)))
        return self.decoder.stages_of(mix(self.decoder.stem(x), encoded, operation))

    def fold_for_inference(self) -> None:
        """Merge the last layer of the fusing RS into the head: two linear layers in a row.

        In place, for export: at full resolution these layers cost more than their numbers say.
        """
        first, second = self.fuse.fc2, self.head.linear
        with torch.no_grad():
            weight = second.weight[:, :, 0, 0] @ first.weight[:, :, 0, 0]
            bias = second.weight[:, :, 0, 0] @ first.bias + second.bias
            self.head.linear = nn.Conv2d(first.in_channels, second.out_channels, 1)
            self.head.linear.weight.copy_(weight[:, :, None, None])
            self.head.linear.bias.copy_(bias)
        self.fuse.fc2 = nn.Identity()

    def _check_size(self, x: torch.Tensor) -> None:
        if torch.compiler.is_compiling() or torch.jit.is_tracing():
            return
        height, width = x.shape[-2:]
        if height % STRIDE or width % STRIDE:
            better = [-(-side // STRIDE) * STRIDE for side in (height, width)]
            raise ValueError(f'input of {height}x{width} is not a multiple of {STRIDE}; pad or '
                             f'resize to {better[0]}x{better[1]}')


class _Decoder(nn.Module):
    """Stem and stages of a timm ConvNeXt, under timm's own parameter names."""

    def __init__(self, config: XNetConfig, in_chans: int) -> None:
        super().__init__()
        require_timm_model(config.decoder)
        net = timm.create_model(config.decoder, pretrained=config.pretrained, in_chans=in_chans,
                                **config.decoder_options)
        if not (hasattr(net, 'stem') and hasattr(net, 'stages') and hasattr(net, 'norm_pre')):
            raise ValueError(f'decoder "{config.decoder}" is not a ConvNeXt or ConvNeXtV2; try '
                             'convnext_tiny or convnextv2_tiny')
        self.stem = net.stem
        self.stages = net.stages
        self.channels: list[int] = [f['num_chs'] for f in net.feature_info]

    def stages_of(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Outputs of the four stages."""
        outputs = []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return outputs


@register_model
def xnet_small(**overrides: Any) -> XNet:
    """The shipped model: small enough for two CPU cores, depth and segmentation, mount-aware."""
    options = {
        'encoder': 'mobilenetv4_conv_small', 'decoder': 'convnext_atto',
        'decoder_options': {
            'dims': (32, 64, 128, 256), 'depths': (2, 2, 4, 2), 'ls_init_value': None,
            'norm_layer': 'batchnorm2d', 'act_layer': 'relu'},
        'width': 16, 'norm': 'batch', 'act': 'relu', 'depth': 'log_height', 'num_classes': 8,
        'mount_channels': 2}
    return XNet(XNetConfig(**{**options, **overrides}))


@register_model
def xnet_convnext_tiny_convnext_tiny(**overrides: Any) -> XNet:
    """ConvNeXt-T x ConvNeXt-T: the pair of the paper's ablation (Table I)."""
    return XNet(XNetConfig(**overrides))


@register_model
def xnet_swin_large_convnextv2_tiny(**overrides: Any) -> XNet:
    """Swin-L x ConvNeXtV2-T: the paper's NYU Depth V2 pair."""
    return _swin_large('convnextv2_tiny.fcmae_ft_in22k_in1k', overrides)


@register_model
def xnet_swin_large_convnext_base(**overrides: Any) -> XNet:
    """Swin-L x ConvNeXt-B: the paper's KITTI pair."""
    return _swin_large('convnext_base.fb_in22k', {'max_depth': 80.0, **overrides})


@register_model
def xnet_swin_large_convnext_large(**overrides: Any) -> XNet:
    """Swin-L x ConvNeXt-L: the paper's ADE20K pair."""
    return _swin_large('convnext_large.fb_in22k',
                       {'depth': None, 'num_classes': 150, **overrides})


def _swin_large(decoder: str, overrides: Mapping[str, Any]) -> XNet:
    options = {'encoder': 'swin_large_patch4_window12_384.ms_in22k', 'decoder': decoder,
               'encoder_options': {'strict_img_size': False}}
    return XNet(XNetConfig(**{**options, **overrides}))

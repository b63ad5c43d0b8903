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
import torch.nn.functional as F
from timm.layers import LayerNorm2d
from torch import nn

from dense_perception.models.encoders import create_encoder, require_timm_model
from dense_perception.models.heads.dense import DenseHead
from dense_perception.models.inputs import InputSpec
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
    ``image_size``: (height, width) that position tables of Swin and ViT encoders are made for, 224
    as in the published counts; pre-trained tables are resampled to it, so train with the crop's.
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
    image_size: tuple[int, int] = (224, 224)
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
        self.encoder = create_encoder(config.encoder, (-1,), self.in_chans, config.pretrained,
                                      config.image_size, **config.encoder_options)
        scale = _decoder_stride(config.encoder, self.encoder.strides[-1])
        self.decoder = _Decoder(config, self.in_chans)
        stem_width = self.decoder.channels[0]
        width = config.width or stem_width
        # RS: from the encoder's last map to what it is mixed with: the stem's output at 1/4
        # (xNet) or the image itself (xNet-I).
        if config.mix_with == 'stem':
            self.reshape = reshape(self.encoder.channels[-1], stem_width, scale // 4,
                                   hidden=config.width)
        else:
            self.reshape = reshape(self.encoder.channels[-1], self.in_chans, scale)
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
        stages = self.decode(x, self.encode(x))
        levels = [rs(stage) for rs, stage in zip(self.pyramid, stages, strict=True)]
        return self.fuse(torch.cat(levels, dim=1))

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """What is mixed into the decoder: the encoder's last map, re-shaped."""
        return self.reshape(self.encoder(self._encoder_image(x))[-1])

    def _encoder_image(self, x: torch.Tensor) -> torch.Tensor:
        """The image at the encoder's size: 14/16 of the decoder's for patches of 14.

        Its tokens then lie at exactly 1/16 of the decoder's image, an integer for PixelShuffle.
        """
        if self.encoder.strides[-1] != 14:
            return x
        size = [side // 16 * 14 for side in x.shape[-2:]]
        return F.interpolate(x, size=size, mode='bilinear')

    def decode(self, x: torch.Tensor, encoded: torch.Tensor) -> list[torch.Tensor]:
        """The decoder's four stages, at 1/4 to 1/32, with the encoded features mixed in."""
        operation = self.config.operation
        if self.config.mix_with == 'image':
            return self.decoder.stages_of(self.decoder.stem(mix(x, encoded, operation)))
        return self.decoder.stages_of(mix(self.decoder.stem(x), encoded, operation))

    def fold_for_inference(self, height: int, width: int) -> None:
        """Merge the last layer of the fusing RS into the head: two linear layers in a row.

        In place, for export at one size: at full resolution they cost more than their numbers say.
        """
        if self.encoder.strides[-1] == 14:
            height, width = height // 16 * 14, width // 16 * 14
        self.encoder.fold_for_inference(height, width)
        first, second = self.fuse.fc2, self.head.linear
        with torch.no_grad():
            weight = second.weight[:, :, 0, 0] @ first.weight[:, :, 0, 0]
            bias = second.weight[:, :, 0, 0] @ first.bias + second.bias
            self.head.linear = nn.Conv2d(first.in_channels, second.out_channels, 1)
            self.head.linear.weight.copy_(weight[:, :, None, None])
            self.head.linear.bias.copy_(bias)
        self.fuse.fc2 = nn.Identity()

    def _check_size(self, x: torch.Tensor) -> None:
        if torch.compiler.is_compiling():
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


def _decoder_stride(name: str, stride: int) -> int:
    """Pixels of the decoder's image per position of the encoder's last map.

    :raises ValueError: PixelShuffle cannot bring that map to the decoder's grid.
    """
    if stride in (14, 16, 32):
        return 16 if stride == 14 else stride
    raise ValueError(f'the last map of encoder "{name}" is at 1/{stride}; xNet needs one '
                     'that ends at 1/32, such as convnext_tiny, or a ViT with patches of 14 or 16')


_PAPER = 'xNet'
_NATIVE = InputSpec(224, 224)


@register_model('xnet', ('depth', 'segmentation'), InputSpec(256, 320), 'this project',
                'Apache-2.0')
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


@register_model('xnet', ('depth',), _NATIVE, f'{_PAPER}, Table I, last row')
def xnet_convnext_tiny_convnext_tiny(**overrides: Any) -> XNet:
    """ConvNeXt-T x ConvNeXt-T: the pair of the paper's ablation (Table I)."""
    return XNet(XNetConfig(**overrides))


@register_model('xnet', ('depth',), _NATIVE, f'{_PAPER}, Tables II and IV: NYU Depth V2')
def xnet_swinl_convnextv2t_nyu(**overrides: Any) -> XNet:
    """Swin-L x ConvNeXtV2-T: the paper's NYU Depth V2 pair."""
    return _swin_large('convnextv2_tiny.fcmae_ft_in22k_in1k', overrides)


@register_model('xnet', ('depth',), InputSpec(256, 256), f'{_PAPER}, Table II: NYU Depth V2')
def xnet_dinov2l_convnextv2b_nyu(**overrides: Any) -> XNet:
    """DINOv2-L x ConvNeXtV2-B: the paper's best NYU Depth V2 pair."""
    options = {'encoder': 'vit_large_patch14_dinov2.lvd142m',
               'decoder': 'convnextv2_base.fcmae_ft_in22k_in1k'}
    return XNet(XNetConfig(**{**options, **overrides}))


def _swin_large(decoder: str, overrides: Mapping[str, Any]) -> XNet:
    options = {'encoder': 'swin_large_patch4_window12_384.ms_in22k', 'decoder': decoder}
    return XNet(XNetConfig(**{**options, **overrides}))

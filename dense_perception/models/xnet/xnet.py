"""xNet: a pre-trained encoder times a pre-trained decoder.

Ning et al., "Is Pre-training Applicable to the Decoder for Dense Prediction?". Figure 2, right::

    image --> encoder --> RS --.
                               v
    image --> decoder stem --> x --> stage 1 --> stage 2 --> stage 3 --> stage 4      (xNet)
                                       |           |           |           |
                                       RS          RS          RS          RS  --> concat --> RS
                                       '----------------- PFP ----------------'             |
                                                                           prediction <-- head

The decoder is a classification backbone run the way it was trained, from high to low resolution
("reversed"). In xNet-I the re-shaped map has the channels of the image and is mixed into it,
before the decoder's stem.

Not given in the paper, and so our reading: the widths inside RS (its output's width), the PFP's
width (that of the decoder's stem), the depth head's activation, the neutral start of RS, and how
a ViT with patches of 14 meets the decoder's grid. ``blend`` is ours. docs/models.md says more.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from dense_perception.models.encoders import create_encoder, require_timm_model
from dense_perception.models.heads.dense import DenseHead
from dense_perception.models.inputs import require_multiple
from dense_perception.models.layers.pyramid import PostFeaturePyramid
from dense_perception.models.layers.reshape import ReShape, mix
from dense_perception.models.layers.stem import create_timm_model
from dense_perception.models.xnet.config import XNetConfig

STRIDE = 32


class XNet(nn.Module):
    """xNet for depth and segmentation from one trunk.

    ``forward``: float (B, 3 + mount_channels, H, W), normalised; H and W multiples of
    ``multiple``, 32 for most -> dict with ``depth`` (B, H, W) and ``logits``
    (B, num_classes, H, W) as configured.

    >>> model = XNet(XNetConfig('convnext_tiny', 'convnext_tiny', num_classes=150))
    >>> {k: tuple(v.shape) for k, v in model(torch.zeros(1, 3, 64, 96)).items()}
    {'depth': (1, 64, 96), 'logits': (1, 150, 64, 96)}

    :param taps: maps of the encoder that ``encode`` gives; xNet needs the last.
    :param read: stages of the decoder that the PFP reads; xNet's reads all.
    :raises ValueError: a configuration or a timm name that does not exist.
    """

    def __init__(self, config: XNetConfig, taps: tuple[int, ...] = (-1,),
                 read: tuple[int, ...] = (0, 1, 2, 3)) -> None:
        super().__init__()
        self.config = config
        self.in_chans = 3 + config.mount_channels
        layers = {'norm': config.norm, 'act': config.act}
        self.encoder = create_encoder(
            config.encoder, taps, self.in_chans, config.pretrained and config.pretrained_encoder,
            config.image_size, **config.encoder_options)
        self.decoder = Decoder(config, self.in_chans)
        stem = self.decoder.channels[0]
        # Pixels of the decoder's image per position of the encoder's last map.
        self.pixels = self.encoder.strides[-1]
        if config.align == 'fit':
            self.pixels = 2 ** math.ceil(math.log2(self.pixels))
        self.multiple = max(STRIDE, self.pixels) if config.align == 'fit' else STRIDE
        # RS: from the encoder's last map to what it is mixed with, at 1/4 (xNet) or 1/1 (xNet-I).
        if config.mix_with == 'stem':
            self.reshape = ReShape(self.encoder.channels[-1], stem, -(-self.pixels // 4),
                                   config.width, **layers)
        else:
            self.reshape = ReShape(self.encoder.channels[-1], self.in_chans, self.pixels, **layers)
        self.reshape.make_neutral(config.operation)
        if (config.mix_with, config.operation) == ('stem', 'replace'):
            self.decoder.stem.requires_grad_(False)  # nothing reads it
        width = config.width or stem
        self.pfp = PostFeaturePyramid(self.decoder.channels, width, read, config.blend, **layers)
        self.head = DenseHead(width, config.depth, config.num_classes, config.max_depth)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """See the class.

        :raises ValueError: H or W is no such multiple; the message proposes the next size.
        """
        require_multiple(x, self.multiple)
        return self.head(self.features(x))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """What the head reads: float (B, width, H, W)."""
        return self.pfp(self.decode(x, self.encode(x)))

    def encode(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Feature maps of the encoder, finest first."""
        return self.encoder(_resized(x, self.encoder_size(*x.shape[-2:])))

    def decode(self, x: torch.Tensor, maps: list[torch.Tensor]) -> list[torch.Tensor]:
        """Outputs of the decoder's four stages, at 1/4 to 1/32."""
        y = self.mixed(x, maps[-1])
        outputs = []
        for stage in self.decoder.stages:
            y = stage(y)
            outputs.append(y)
        return outputs

    def mixed(self, x: torch.Tensor, encoded: torch.Tensor) -> torch.Tensor:
        """What enters the decoder's first stage, float (B, C, H / 4, W / 4).

        :param encoded: the encoder's last map.
        """
        stem, operation = self.decoder.stem, self.config.operation
        if self.config.mix_with == 'image':
            return stem(mix(x, self.reshaped(x, encoded), operation))
        return mix(stem(x), self.reshaped(x, encoded), operation)

    def reshaped(self, x: torch.Tensor, encoded: torch.Tensor) -> torch.Tensor:
        """The encoder's last map, re-shaped: what is mixed with the stem's output or the image."""
        grid = 1 if self.config.mix_with == 'image' else 4
        return _resized(self.reshape(encoded), tuple(side // grid for side in x.shape[-2:]))

    def encoder_size(self, height: int, width: int) -> tuple[int, int]:
        """Size at which the encoder sees a decoder image of height x width.

        With ``align='fit'`` a ViT with patches of 14 sees 14/16 of it. Its tokens then lie at
        exactly 1/16 of the decoder's image, an integer for PixelShuffle.
        """
        stride = self.encoder.strides[-1]
        if self.config.align == 'fit':
            return height // self.pixels * stride, width // self.pixels * stride
        return (max(1, round(height / stride)) * stride, max(1, round(width / stride)) * stride)

    def fold_for_inference(self, height: int, width: int) -> None:
        """Precompute what one input size and fixed weights allow; in place, for export."""
        self.encoder.fold_for_inference(*self.encoder_size(height, width))
        self.head.absorb(*self.pfp.take_tail())

    def leave_subpixels_apart(self) -> int:
        """See :meth:`DenseHead.leave_subpixels_apart`; of a model that is folded."""
        return self.head.leave_subpixels_apart()

    def unfolded(self, folded: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """State of a network that computes what a folded one does.

        :param folded: names and values of what ``fold_for_inference`` left, and maybe more.
        """
        return self.head.unabsorbed(folded, 'head.', self.pfp.fuse.fc2, 'pfp.fuse.fc2.')


class Decoder(nn.Module):
    """Stem and stages of a timm ConvNeXt, under timm's own parameter names.

    The classifier is dropped. ``channels``: of the four stages, at 1/4 to 1/32.
    """

    def __init__(self, config: XNetConfig, in_chans: int) -> None:
        super().__init__()
        require_timm_model(config.decoder)
        net = create_timm_model(config.decoder, in_chans,
                                config.pretrained and config.pretrained_decoder,
                                **config.decoder_options)
        if not (hasattr(net, 'stem') and hasattr(net, 'stages') and hasattr(net, 'norm_pre')):
            raise ValueError(f'decoder "{config.decoder}" is not a ConvNeXt or ConvNeXtV2; try '
                             'convnext_tiny or convnextv2_tiny')
        self.stem = net.stem
        self.stages = net.stages
        self.channels: list[int] = [info['num_chs'] for info in net.feature_info]


def _resized(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Bilinear, to (height, width); what has that size already is left as it is."""
    return x if tuple(x.shape[-2:]) == size else F.interpolate(x, size=size, mode='bilinear')

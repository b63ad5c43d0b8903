"""The steps from a Feature Pyramid Network to xNet: Table I of the paper as three switches.

Our reading where the paper is silent: a lateral connection is a 1x1 convolution; it adds the
encoder's map at 1/4, 1/8 and 1/16 to the decoder's map of the same resolution, before the stage
that makes it coarser (equation 2). Before mixing is introduced, the re-shaped map takes the place
of the image, three channels into the stem. Without the PFP only the decoder's last output is
re-shaped, in the same two steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from dense_perception.models.encoders import Encoder, create_encoder
from dense_perception.models.heads.dense import DenseHead
from dense_perception.models.inputs import require_multiple
from dense_perception.models.layers.pyramid import PostFeaturePyramid
from dense_perception.models.layers.reshape import ReShape
from dense_perception.models.xnet.config import XNetConfig
from dense_perception.models.xnet.xnet import STRIDE, Decoder, XNet

FOUR_LAST = (-4, -3, -2, -1)
FOUR_STRIDES = [4, 8, 16, 32]


@dataclass(frozen=True)
class LadderConfig(XNetConfig):
    """An xNet with the switches of Table I; as they stand here it is the xNet itself.

    ``reversed``: the decoder runs from high to low resolution, as it was trained. ``pfp``: all its
    stages reach the prediction. ``fp``: all maps of the encoder reach the decoder.

    Not reversed it is the table's FPN, to which ``mix_with``, ``operation`` and ``align`` say
    nothing.

    :raises ValueError: the FPN is asked for with what it cannot have.
    """

    reversed: bool = True
    pfp: bool = True
    fp: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.reversed and (self.pfp or not self.fp or self.pretrained_decoder):
            raise ValueError('a decoder that is not reversed is the FPN of Table I: it has a '
                             'feature pyramid, no PFP, and loads no weights; set fp=True, '
                             'pfp=False and pretrained_decoder=False')


def ladder_model(config: LadderConfig) -> FPN | AblatedXNet:
    """The network of a configuration."""
    return AblatedXNet(config) if config.reversed else FPN(config)


class AblatedXNet(XNet):
    """An xNet with or without PFP, and with or without a feature pyramid between its halves."""

    def __init__(self, config: LadderConfig) -> None:
        super().__init__(config, FOUR_LAST if config.fp else (-1,),
                         (0, 1, 2, 3) if config.pfp else (3,))
        if config.fp:
            _require_pyramid(self.encoder, config.encoder)
        # Of every map of the encoder but the last, which is re-shaped; so there are none without.
        self.laterals = nn.ModuleList(
            nn.Conv2d(theirs, ours, 1)
            for theirs, ours in zip(self.encoder.channels[:-1], self.decoder.channels))

    def decode(self, x: torch.Tensor, maps: list[torch.Tensor]) -> list[torch.Tensor]:
        """Outputs of the decoder's four stages, at 1/4 to 1/32."""
        sides = [lateral(finer) for lateral, finer in zip(self.laterals, maps[:-1], strict=True)]
        y = self.mixed(x, maps[-1])
        outputs = []
        for index, stage in enumerate(self.decoder.stages):
            y = stage(y + sides[index - 1] if index and sides else y)
            outputs.append(y)
        return outputs


class FPN(nn.Module):
    """The encoder-decoder network that the table begins with (Figure 2, middle).

    The blocks of a ConvNeXt from its last stage to its first, from low to high resolution; an RS
    between the stages doubles the resolution. Interface as :class:`XNet`.
    """

    multiple = STRIDE

    def __init__(self, config: LadderConfig) -> None:
        super().__init__()
        self.config = config
        self.in_chans = 3 + config.mount_channels
        layers = {'norm': config.norm, 'act': config.act}
        self.encoder = create_encoder(
            config.encoder, FOUR_LAST, self.in_chans,
            config.pretrained and config.pretrained_encoder, config.image_size,
            **config.encoder_options)
        _require_pyramid(self.encoder, config.encoder)
        decoder = Decoder(config, self.in_chans)
        channels = decoder.channels
        self.stages = nn.ModuleList(stage.blocks for stage in decoder.stages)
        self.laterals = nn.ModuleList(
            nn.Conv2d(theirs, ours, 1) for theirs, ours in zip(self.encoder.channels, channels))
        self.upsample = nn.ModuleList(
            ReShape(coarse, fine, 2, **layers) for fine, coarse in zip(channels, channels[1:]))
        width = config.width or channels[0]
        self.pfp = PostFeaturePyramid(channels, width, (0,), config.blend, **layers)
        self.head = DenseHead(width, config.depth, config.num_classes, config.max_depth)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """See :class:`XNet`.

        :raises ValueError: H or W is not a multiple of 32.
        """
        require_multiple(x, self.multiple)
        return self.head(self.pfp(self.decode(x, self.encoder(x))))

    def decode(self, x: torch.Tensor, maps: list[torch.Tensor]) -> list[torch.Tensor]:
        """Outputs of the stages, finest first, at 1/4 to 1/32: equation 2."""
        sides = [lateral(level) for lateral, level in zip(self.laterals, maps, strict=True)]
        outputs = [self.stages[3](sides[3])]
        for index in (2, 1, 0):
            coarser = self.upsample[index](outputs[0])
            outputs.insert(0, self.stages[index](sides[index] + coarser))
        return outputs

    def fold_for_inference(self, height: int, width: int) -> None:
        """Precompute what one input size and fixed weights allow; in place, for export."""
        self.encoder.fold_for_inference(height, width)
        self.head.absorb(*self.pfp.take_tail())

    def leave_subpixels_apart(self) -> int:
        """See :meth:`DenseHead.leave_subpixels_apart`."""
        return self.head.leave_subpixels_apart()

    def unfolded(self, folded: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """See :meth:`XNet.unfolded`."""
        return self.head.unabsorbed(folded, 'head.', self.pfp.fuse.fc2, 'pfp.fuse.fc2.')


def _require_pyramid(encoder: Encoder, name: str) -> None:
    if encoder.strides != FOUR_STRIDES:
        raise ValueError(f'encoder "{name}" has maps at 1/{encoder.strides}; a feature pyramid '
                         f'needs 1/{FOUR_STRIDES}, as of convnext_tiny or swin_tiny_patch4_'
                         'window7_224')

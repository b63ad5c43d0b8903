"""CEDNet for depth and segmentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from dense_perception.models.cednet.neck import LastDecoder
from dense_perception.models.encoders import create_encoder
from dense_perception.models.heads.dense import DenseHead
from dense_perception.models.heads.upernet import ConcatHead, FCNHead, UPerNet
from dense_perception.models.inputs import require_multiple

WIDTHS = {'plain': 256, 'upernet': 512}


@dataclass(frozen=True)
class CEDNetConfig:
    """Backbone, what fuses its levels, and what is predicted.

    ``encoder``: name of a backbone (``cednet.ARCHITECTURES``). ``encoder_options``: fields of
    ``BackboneConfig`` that differ; ``{'pretrained_cfg_overlay': {'file': PATH}}`` names the
    weights of ``pretrained``. ``head``: ``plain``, the last decoder at one width with pyramid
    pooling and one convolution (``ced_next_*`` of the public code), or ``upernet``, which fuses
    the last encoder's maps itself (``upernet_ced_next_*``, the rows of Table 3). ``width``: of
    the head; None = 256 and 512.

    ``depth``, ``max_depth``: as in ``heads.dense``. ``num_classes``: 0 for no segmentation;
    ``aux_head``: beside it, in training, another one on the previous stage's map at 1/8.
    ``mount_channels``: input channels beside RGB (see ``models.inputs``).

    :raises ValueError: a head that does not exist.
    """

    encoder: str = 'cednet_next_tiny'
    encoder_options: Mapping[str, Any] = field(default_factory=dict)
    head: str = 'plain'
    width: int | None = None
    depth: str | None = None
    max_depth: float = 10.0
    num_classes: int = 0
    aux_head: bool = True
    mount_channels: int = 0
    pretrained: bool = False

    def __post_init__(self) -> None:
        if self.head not in WIDTHS:
            raise ValueError(f'head "{self.head}" is unknown; choose from {", ".join(WIDTHS)}')


class CEDNetDense(nn.Module):
    """CEDNet for depth and segmentation from one trunk.

    ``forward``: float (B, 3 + mount_channels, H, W), normalised; H and W multiples of 32 -> dict
    with ``depth`` (B, H, W) and ``logits`` (B, num_classes, H, W) as configured; in training with
    ``aux_head`` and more than one stage also ``aux_logits`` (B, num_classes, H / 8, W / 8).

    :raises ValueError: a configuration, a backbone or a size that cannot be.
    """

    def __init__(self, config: CEDNetConfig) -> None:
        super().__init__()
        self.config = config
        self.in_chans = 3 + config.mount_channels
        aux = bool(config.num_classes and config.aux_head)
        self.encoder = create_encoder(
            config.encoder, (0, 1, 2, 3), self.in_chans, config.pretrained, last_decoder=False,
            earlier=int(aux), **config.encoder_options)
        levels = self.encoder.channels[:4]
        width = config.width or WIDTHS[config.head]
        self.neck: nn.Module = nn.Identity()
        self.head: nn.Module = UPerNet(levels, width)
        if config.head == 'plain':
            self.neck = LastDecoder(levels, width, pooled=True)
            self.head = ConcatHead(width, len(levels))
        self.predict = DenseHead(width, config.depth, config.num_classes, config.max_depth)
        self.aux_head = FCNHead(self.encoder.channels[4], config.num_classes) if aux else None

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """See the class."""
        require_multiple(x, self.encoder.multiple)
        maps = self.encoder(x)
        outputs = self.predict(self.head(self.neck(maps[:4])), tuple(x.shape[-2:]))
        if self.training and self.aux_head is not None:
            outputs['aux_logits'] = self.aux_head(maps[4])
        return outputs

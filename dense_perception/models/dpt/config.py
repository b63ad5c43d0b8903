"""What defines a DPT."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dense_perception.models.dpt.reassemble import READOUTS

DEPTHS = ('inverse', 'metric_inverse', 'sigmoid', 'log_height')
LEVELS = 4


@dataclass(frozen=True)
class DPTConfig:
    """The dense prediction transformer: encoder, Reassemble, fusion and heads.

    ``encoder``: timm name of a ViT, DINOv2 or hybrid. ``taps``: its blocks that are read, from 0;
    ``stages``: ResNet stages of a hybrid that are read before them; four in all. ``norm_taps``,
    ``pos_interp``, ``image_size``: see ``encoders.TokenEncoder``; ``image_size`` is what position
    tables are made for, inputs may be of any size whose sides are multiples of ``multiple``.
    ``readout``: what becomes of the class token. ``channels``: of the four reassembled maps.
    ``features``: channels of the fusion. ``batch_norm``: in the residual units of the fusion.

    ``depth``: None, or what the depth head gives: ``inverse`` (relative inverse depth),
    ``metric_inverse`` (metres, 1 / (``scale`` y + ``shift``) of that inverse depth y), ``sigmoid``
    (metres up to ``max_depth``) or ``log_height`` (log of depth over camera height, for
    ``mount_channels``, see ``models.inputs``). ``non_negative``: of y. ``num_classes``: of the
    segmentation head, 0 for none; ``aux_head``: another one beside it, for training.
    ``pretrained``: load timm's weights of the encoder. ``encoder_options``: further keyword
    arguments of the timm model.
    """

    encoder: str = 'vit_large_patch16_384'
    taps: tuple[int, ...] = (5, 11, 17, 23)
    stages: tuple[int, ...] = ()
    norm_taps: bool = False
    pos_interp: str = 'dpt_bilinear'
    image_size: tuple[int, int] = (384, 384)
    multiple: int = 32
    readout: str = 'project'
    channels: tuple[int, ...] = (256, 512, 1024, 1024)
    features: int = 256
    batch_norm: bool = False
    depth: str | None = 'inverse'
    non_negative: bool = True
    scale: float = 1.0
    shift: float = 0.0
    max_depth: float = 20.0
    mount_channels: int = 0
    num_classes: int = 0
    aux_head: bool = True
    pretrained: bool = False
    encoder_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ('taps', 'stages', 'channels', 'image_size'):  # JSON has lists only
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.readout not in READOUTS:
            raise ValueError(f'readout "{self.readout}" is unknown; choose from '
                             f'{", ".join(READOUTS)}')
        if self.depth is not None and self.depth not in DEPTHS:
            raise ValueError(f'depth "{self.depth}" is unknown; choose from {", ".join(DEPTHS)} '
                             'or None')
        if self.depth is None and not self.num_classes:
            raise ValueError('a DPT without a task: give depth or num_classes')
        if len(self.stages) + len(self.taps) != LEVELS:
            raise ValueError(f'stages {self.stages} and taps {self.taps} are '
                             f'{len(self.stages) + len(self.taps)} levels; a DPT has {LEVELS}, '
                             'for example taps (5, 11, 17, 23)')
        for name in ('taps', 'stages'):
            indices = getattr(self, name)
            if list(indices) != sorted(set(indices)) or min(indices, default=0) < 0:
                raise ValueError(f'{name} {indices} must be counted from 0 and ascend')
        if len(self.channels) != LEVELS:
            raise ValueError(f'channels {self.channels} must be {LEVELS}, one per level')
        if self.features % 2:
            raise ValueError(f'features {self.features} must be even: the depth head halves them')
        if self.depth == 'metric_inverse' and self.scale <= 0:
            raise ValueError(f'scale {self.scale} must be above 0: of inverse depth to 1/metre')
        if self.depth == 'sigmoid' and self.max_depth <= 0:
            raise ValueError(f'max_depth {self.max_depth} must be above 0 metres')

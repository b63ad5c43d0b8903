"""CEDNet backbones as encoders, under their names in timm's registry.

Whoever builds an encoder by a timm name (``encoders.create_encoder``, and so xNet) can take one:
``create_encoder('cednet_next_tiny', taps=(0, 1, 2, 3))``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from timm.models import load_state_dict, register_model
from torch import nn

from dense_perception.models.cednet.backbone import STRIDE, CEDNet
from dense_perception.models.cednet.config import ARCHITECTURES, BackboneConfig

_REDUCTIONS = (4, 8, 16, 32)


@dataclass(frozen=True)
class PickedMaps:
    """What timm's ``FeatureInfo`` tells; that one wants maps in the order of their strides."""

    of_channels: list[int]
    of_reductions: list[int]

    def channels(self) -> list[int]:
        """Of each map."""
        return self.of_channels

    def reduction(self) -> list[int]:
        """The stride of each map."""
        return self.of_reductions


class CEDNetFeatures(CEDNet):
    """The maps of a CEDNet that an encoder is asked for.

    ``forward``: float (B, in_chans, H, W), H and W multiples of 32 -> the maps at
    ``out_indices`` of (c2, c3, c4, c5) of the last stage, then the c3 of the ``earlier`` stages
    before it, newest first.

    ``multiple``: of which both sides of an image must be one, whatever maps are picked.

    :param last_decoder: see :class:`CEDNet`; not built where no index reads it.
    """

    multiple = STRIDE

    def __init__(self, config: BackboneConfig, in_chans: int = 3,
                 out_indices: tuple[int, ...] = (0, 1, 2, 3), last_decoder: bool = True,
                 earlier: int = 0) -> None:
        wrong = [index for index in out_indices if not -4 <= index < 4]
        if wrong or not 0 <= earlier < config.stages:
            raise ValueError(f'out_indices {tuple(out_indices)} or earlier {earlier}: a CEDNet of '
                             f'{config.stages} stages has the maps 0 to 3 (1/4 to 1/32) and '
                             f'{config.stages - 1} earlier stages')
        indices = tuple(index % 4 for index in out_indices)
        super().__init__(config, in_chans, last_decoder and bool({1, 2} & set(indices)))
        self.out_indices, self.earlier = indices, earlier
        channels = (config.stem_channels, *config.channels)
        picked = [*indices, *[1] * earlier]
        self.feature_info = PickedMaps([channels[index] for index in picked],
                                       [_REDUCTIONS[index] for index in picked])

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """See the class."""
        c2, stages = super().forward(x)
        levels = [c2, *stages[-1]]
        before = [maps[0] for maps in reversed(stages[:-1])]
        return [levels[index] for index in self.out_indices] + before[:self.earlier]


def _register(name: str, config: BackboneConfig) -> None:
    def build(pretrained: bool = False, features_only: bool = False, in_chans: int = 3,
              out_indices: tuple[int, ...] = (0, 1, 2, 3), last_decoder: bool = True,
              earlier: int = 0, pretrained_cfg_overlay: Mapping[str, Any] | None = None,
              pretrained_cfg: object = None, cache_dir: object = None,
              **options: Any) -> CEDNetFeatures:
        if not features_only:
            raise ValueError(f'timm\'s "{name}" is an encoder (features_only=True); the '
                             f'classifier is dense_perception.models.create_model("{name}")')
        body = CEDNetFeatures(replace(config, **options), in_chans, tuple(out_indices),
                              last_decoder, earlier)
        if pretrained:
            _load(body, name, (pretrained_cfg_overlay or {}).get('file'))
        return body

    build.__name__, build.__doc__ = name, f'CEDNet backbone {name}, features only.'
    register_model(build)


def _load(body: nn.Module, name: str, file: str | None) -> None:
    """Weights of a classifier or of another network with this backbone, ours or published."""
    # Not at the top: the checkpoints know the registered models, of which these are parts.
    from dense_perception.models.checkpoints import load_converted
    from dense_perception.models.checkpoints.cednet import backbone_state
    if file is None:
        raise ValueError(f'there are no public weights of "{name}"; name a file of yours: '
                         'encoder_options={"pretrained_cfg_overlay": {"file": PATH}}')
    report = load_converted(body, backbone_state(load_state_dict(file, weights_only=True)))
    # A last decoder is not trained by classification.
    decoder = f'stages.{len(body.stages) - 1}.decoder.'
    if missing := [key for key in report.missing if not key.startswith(decoder)]:
        raise ValueError(f'{file} is not of a "{name}": it has no {missing[0]} and lacks '
                         f'{len(missing)} tensors in all')


for _name, _config in ARCHITECTURES.items():
    _register(_name, _config)

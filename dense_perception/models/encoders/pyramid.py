"""Hierarchical backbones: ConvNeXt, Swin, MobileNet and whatever else has timm's pyramid."""

from __future__ import annotations

import torch
from torch import nn

from dense_perception.models.encoders.names import has_tables
from dense_perception.models.layers.stem import create_timm_model

# What makes models with position tables accept other sizes than the tables': they differ in it,
# and some have no way at all.
_ANY_SIZE: tuple[dict[str, object], ...] = (
    {'strict_img_size': False}, {'dynamic_img_size': True}, {})


class PyramidEncoder(nn.Module):
    """Feature maps of a timm backbone, channels first. See the package for the interface.

    :param name: any timm model that supports ``features_only``.
    Other parameters as in ``create_encoder``.
    """

    def __init__(self, name: str, taps: tuple[int, ...] = (-1,), in_chans: int = 3,
                 pretrained: bool = False, image_size: tuple[int, int] | None = None,
                 **options: object) -> None:
        super().__init__()
        options = {'features_only': True, 'out_indices': taps, 'in_chans': in_chans,
                   'pretrained': pretrained, **options}
        self.body = _with_tables(name, image_size, options) if has_tables(name) else \
            create_timm_model(name, **options)
        info = self.body.feature_info
        self.channels: list[int] = info.channels()
        self.strides: list[int] = info.reduction()
        self.multiple: int = getattr(self.body, 'multiple', max(self.strides))
        self._channels_last = getattr(self.body, 'output_fmt', 'NCHW') == 'NHWC'  # Swin's

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Feature maps, finest first."""
        features = self.body(x)
        if self._channels_last:
            features = [feature.permute(0, 3, 1, 2) for feature in features]
        return features

    def fold_for_inference(self, height: int, width: int) -> None:
        """Nothing to fold: what depends on the size is computed with it."""


def _with_tables(name: str, image_size: tuple[int, int] | None,
                 options: dict[str, object]) -> nn.Module:
    """A model whose position tables are made for ``image_size`` and follow other sizes."""
    if image_size is not None:
        options = {'img_size': image_size, **options}
    for any_size in _ANY_SIZE:
        try:
            return create_timm_model(name, **{**any_size, **options})
        except TypeError as error:
            if not any(f"'{key}'" in str(error) for key in any_size):
                raise
    raise AssertionError('unreachable: the last way asks for nothing')

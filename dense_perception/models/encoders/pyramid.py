"""Hierarchical backbones: ConvNeXt, Swin, MobileNet and whatever else has timm's pyramid."""

from __future__ import annotations

import timm
import torch
from torch import nn

from dense_perception.models.encoders.names import has_tables


class PyramidEncoder(nn.Module):
    """Feature maps of a timm backbone, channels first. See the package for the interface.

    :param name: any timm model that supports ``features_only``.
    Other parameters as in ``create_encoder``.
    """

    def __init__(self, name: str, taps: tuple[int, ...] = (-1,), in_chans: int = 3,
                 pretrained: bool = False, image_size: tuple[int, int] | None = None,
                 **options: object) -> None:
        super().__init__()
        if has_tables(name):
            options = {'strict_img_size': False, **options}
            if image_size is not None:
                options['img_size'] = image_size
        self.body = timm.create_model(name, pretrained=pretrained, features_only=True,
                                      in_chans=in_chans, out_indices=taps, **options)
        info = self.body.feature_info
        self.channels: list[int] = info.channels()
        self.strides: list[int] = info.reduction()
        self.multiple = max(32, *self.strides)
        # Swin's features are (B, H, W, C).
        self._channels_last = getattr(self.body, 'output_fmt', 'NCHW') == 'NHWC' or 'swin' in name

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Feature maps, finest first."""
        features = self.body(x)
        if self._channels_last:
            features = [feature.permute(0, 3, 1, 2) for feature in features]
        return features

    def fold_for_inference(self, height: int, width: int) -> None:
        """Nothing to fold: what depends on the size is computed with it."""

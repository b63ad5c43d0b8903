"""Encoders: any hierarchical timm backbone, reduced to what a decoder needs of it."""

from __future__ import annotations

import difflib

import timm
import torch
from torch import nn


class HierarchicalEncoder(nn.Module):
    """The last feature map (1/32) of a timm backbone, channels first.

    ``forward``: float (B, in_chans, H, W) -> float (B, ``out_channels``, H/32, W/32); H and W
    multiples of 32.

    :param name: any timm model that supports ``features_only``.
    :param in_chans: input channels; timm adapts pre-trained stems to other than 3.
    :param pretrained: load timm's weights (from its cache or the hub).
    :param options: further keyword arguments of the timm model.
    :raises ValueError: timm has no such model, or its last stage is not at 1/32.
    """

    def __init__(self, name: str, in_chans: int = 3, pretrained: bool = False,
                 **options: object) -> None:
        super().__init__()
        require_timm_model(name)
        self.body = timm.create_model(name, pretrained=pretrained, features_only=True,
                                      in_chans=in_chans, out_indices=(-1,), **options)
        info = self.body.feature_info
        self.out_channels: int = info.channels()[-1]
        reduction = info.reduction()[-1]
        if reduction != 32:
            raise ValueError(f'the last stage of encoder "{name}" is at 1/{reduction}; xNet needs '
                             'a backbone that ends at 1/32, such as convnext_tiny')
        self._channels_last = getattr(self.body, 'output_fmt', 'NCHW') == 'NHWC'

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        feature = self.body(x)[0]
        if self._channels_last or feature.shape[1] != self.out_channels:
            feature = feature.permute(0, 3, 1, 2)  # Swin: NHWC
        return feature


def require_timm_model(name: str) -> None:
    """:raises ValueError: timm has no model of this name; the message lists similar ones."""
    known = timm.list_models()
    architecture = name.split('.')[0]
    if architecture not in known:
        near = difflib.get_close_matches(architecture, known, n=5, cutoff=0.4)
        raise ValueError(f'timm has no model "{name}"; similar: {", ".join(near) or "none"}')

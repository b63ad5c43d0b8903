"""Pre-trained stems that take more than an image."""

from __future__ import annotations

import timm
import torch
from torch import nn

RGB = 3


def create_timm_model(name: str, in_chans: int, pretrained: bool, **options: object) -> nn.Module:
    """``timm.create_model``; pre-trained weights stay blind to channels beside RGB at first.

    timm itself would repeat the filters of red, green and blue for them, which says nothing about
    the mount channels and dims the image. Filters of zeros leave the network as it was trained.

    :raises ValueError: a model without an RGB convolution to widen.
    """
    widened = pretrained and in_chans > RGB
    net = timm.create_model(name, pretrained=pretrained, in_chans=RGB if widened else in_chans,
                            **options)
    if widened:
        widen_stem(net, name, in_chans)
    return net


def widen_stem(net: nn.Module, name: str, in_chans: int) -> None:
    """Let an RGB network take more channels, in place, blind to them at first.

    :raises ValueError: it has no RGB convolution to widen.
    """
    stem = next((module for module in net.modules() if isinstance(module, nn.Conv2d)
                 and module.in_channels == RGB and module.groups == 1), None)
    if stem is None:
        raise ValueError(f'"{name}" has no convolution of RGB to widen to {in_chans} channels; '
                         'begin without pre-trained weights')
    with torch.no_grad():
        extra = stem.weight.new_zeros(stem.out_channels, in_chans - RGB, *stem.kernel_size)
        stem.weight = nn.Parameter(torch.cat([stem.weight, extra], dim=1))
    stem.in_channels = in_chans

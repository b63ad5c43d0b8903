"""Hierarchical backbones: ConvNeXt, Swin, MobileNet and whatever else has timm's pyramid."""

from __future__ import annotations

import torch
from timm.layers import Conv2dSame
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
    :param odd_sizes: pad what divides the image into patches (ConvNeXt's stem and downsampling),
        so that images of 2^n k + 1 pixels give maps of 2^(n-1) k + 1; other sizes do not change.
    :param pre_activation: of a ResNet, take each stage's sum before its last activation.
    Other parameters as in ``create_encoder``.
    """

    def __init__(self, name: str, taps: tuple[int, ...] = (-1,), in_chans: int = 3,
                 pretrained: bool = False, image_size: tuple[int, int] | None = None,
                 odd_sizes: bool = False, pre_activation: bool = False,
                 **options: object) -> None:
        super().__init__()
        options = {'features_only': True, 'out_indices': taps, 'in_chans': in_chans,
                   'pretrained': pretrained, **options}
        self.body = _with_tables(name, image_size, options) if has_tables(name) else \
            create_timm_model(name, **options)
        if odd_sizes:
            _pad_patches(self.body)
        if pre_activation:
            _tap_before_activation(self.body)
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


def _pad_patches(body: nn.Module) -> None:
    """Give convolutions that divide a map into patches the padding of TensorFlow's "SAME"."""
    for parent in list(body.modules()):
        for name, conv in parent.named_children():
            if (isinstance(conv, nn.Conv2d) and conv.kernel_size == conv.stride != (1, 1)
                    and conv.padding == (0, 0)):
                same = Conv2dSame(conv.in_channels, conv.out_channels, conv.kernel_size,
                                  conv.stride, bias=conv.bias is not None)
                same.weight, same.bias = conv.weight, conv.bias
                setattr(parent, name, same)


def _tap_before_activation(body: nn.Module) -> None:
    """Move the activation at the end of a ResNet's stage behind the place where it is read."""
    taken = getattr(body, 'return_layers', {})
    stages = list(body.items()) if isinstance(body, nn.ModuleDict) else []
    for name, _ in stages:
        del body[name]
    for index, (name, stage) in enumerate(stages):
        body[name] = stage
        last = stage[-1] if isinstance(stage, nn.Sequential) and len(stage) else None
        if name in taken and hasattr(last, 'act3'):
            if index + 1 < len(stages):
                body[f'{name}_act'] = nn.ReLU()  # not in place: the map before it is read
            last.act3 = nn.Identity()

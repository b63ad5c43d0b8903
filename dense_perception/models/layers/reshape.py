"""Re-Shape (RS): feature maps up to a higher resolution (xNet, section III-A)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from timm.layers import LayerNorm2d
from torch import nn


class ReShape(nn.Sequential):
    """Normalisation and a two-layer MLP with a PixelShuffle in its middle.

    ``forward``: float (B, in_channels, h, w) -> float (B, out_channels, h * scale, w * scale).
    The paper gives no widths; the hidden width is that of the output unless stated.

    :param scale: upsampling factor of the PixelShuffle; 1 leaves a plain MLP.
    :param hidden: channels between PixelShuffle and second layer; None = ``out_channels``.
    :param norm: normalisation layer, called with the channels.
    :param act: activation between the layers.
    """

    def __init__(self, in_channels: int, out_channels: int, scale: int, hidden: int | None = None,
                 norm: Callable[[int], nn.Module] = LayerNorm2d,
                 act: Callable[[], nn.Module] = nn.GELU) -> None:
        hidden = hidden or out_channels
        super().__init__()
        self.norm = norm(in_channels)
        self.fc1 = nn.Conv2d(in_channels, hidden * scale ** 2, 1)
        self.act = act()
        self.shuffle = nn.PixelShuffle(scale) if scale > 1 else nn.Identity()
        self.fc2 = nn.Conv2d(hidden, out_channels, 1)

    def make_neutral(self, value: float) -> None:
        """Start near the constant ``value`` so that mixing leaves the image features alone.

        Small weights rather than zeros: with zeros no gradient would reach what lies before.
        """
        nn.init.normal_(self.fc2.weight, std=1e-2)
        nn.init.constant_(self.fc2.bias, value)


def neutral_value(operation: str) -> float:
    """What the mixing operation leaves its other operand unchanged with."""
    return 1.0 if operation == 'multiply' else 0.0


def mix(features: torch.Tensor, encoded: torch.Tensor, operation: str) -> torch.Tensor:
    """Mix encoded features into image features: element-wise ``multiply`` or ``add``."""
    return features * encoded if operation == 'multiply' else features + encoded

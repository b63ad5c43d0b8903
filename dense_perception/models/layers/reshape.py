"""Re-Shape (RS): feature maps up to a higher resolution (xNet, section III-A)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from timm.layers import LayerNorm2d
from torch import nn

NORMS: dict[str, Callable[[int], nn.Module]] = {'layer': LayerNorm2d, 'batch': nn.BatchNorm2d}
ACTS: dict[str, Callable[[], nn.Module]] = {'gelu': nn.GELU, 'relu': nn.ReLU}
OPERATIONS = ('multiply', 'add', 'replace')
_NEUTRAL = {'multiply': 1.0, 'add': 0.0}  # what leaves the other operand as it is


class ReShape(nn.Sequential):
    """Normalisation and a two-layer MLP with a PixelShuffle in its middle.

    ``forward``: float (B, in_channels, h, w) -> float (B, out_channels, h * scale, w * scale).
    The paper gives no widths; the hidden width is that of the output unless stated.

    :param scale: upsampling factor of the PixelShuffle; 1 leaves a plain MLP.
    :param hidden: channels between PixelShuffle and second layer; None = ``out_channels``.
    :param norm: normalisation layer, one of :data:`NORMS`.
    :param act: activation between the layers, one of :data:`ACTS`.
    """

    def __init__(self, in_channels: int, out_channels: int, scale: int, hidden: int | None = None,
                 norm: str = 'layer', act: str = 'gelu') -> None:
        hidden = hidden or out_channels
        super().__init__()
        self.norm = NORMS[norm](in_channels)
        self.fc1 = nn.Conv2d(in_channels, hidden * scale ** 2, 1)
        self.act = ACTS[act]()
        self.shuffle = nn.PixelShuffle(scale) if scale > 1 else nn.Identity()
        self.fc2 = nn.Conv2d(hidden, out_channels, 1)

    def make_neutral(self, operation: str) -> None:
        """Start near the value that leaves alone what ``operation`` mixes the output with.

        Small weights rather than zeros: with zeros no gradient would reach what lies before.
        Nothing is neutral to ``replace``, and nothing is changed for it.
        """
        if operation in _NEUTRAL:
            nn.init.normal_(self.fc2.weight, std=1e-2)
            nn.init.constant_(self.fc2.bias, _NEUTRAL[operation])


class LinearThenShuffle(nn.Module):
    """A PixelShuffle and a 1x1 convolution, exchanged: the values are those of this order.

    ``forward``: float (B, in_channels * scale^2, h, w) -> float (B, out_channels, h * scale,
    w * scale). With fewer channels after the convolution than before, the shuffle moves less. All
    sub-pixels of a position share the weights, so that it is one product of matrices.

    ``apart``: leave the shuffle to whoever reads the output, float (B, out_channels, scale^2, h,
    w) then. What is done to each pixel by itself can come before it.

    :param linear: the convolution.
    """

    def __init__(self, linear: nn.Conv2d, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.apart = False
        self.weight = nn.Parameter(linear.weight.detach().flatten(1))
        self.bias = nn.Parameter(linear.bias.detach()[:, None])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        height, width = x.shape[-2:]
        out_channels, in_channels = self.weight.shape
        parts = self.scale ** 2  # -1 is the batch: an export for any batch then needs no more
        values = self.weight @ x.reshape(-1, in_channels, parts * height * width) + self.bias
        if self.apart:
            return values.reshape(-1, out_channels, parts, height, width)
        values = values.reshape(-1, out_channels * parts, height, width)
        return nn.functional.pixel_shuffle(values, self.scale)


def mix(features: torch.Tensor, encoded: torch.Tensor, operation: str) -> torch.Tensor:
    """Mix encoded features into image features element by element, see :data:`OPERATIONS`."""
    if operation == 'replace':
        return encoded
    return features * encoded if operation == 'multiply' else features + encoded

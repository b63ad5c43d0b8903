"""The linear per-pixel head and what its outputs mean."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from dense_perception.models.layers.reshape import LinearThenShuffle

DEPTH_ACTIVATIONS = ('sigmoid', 'exp', 'log_height')


class DenseHead(nn.Module):
    """One linear layer for depth and segmentation.

    ``forward``: float (B, dim, h, w) and the size (H, W) of the outputs, None for that of the
    features -> dict with ``depth`` (B, H, W) and ``logits`` (B, num_classes, H, W), those that are
    asked for; to another size the linear layer's values are resized bilinearly. Depth is in metres
    within (0, max_depth) for ``sigmoid``, in metres for ``exp``, and the logarithm of depth over
    camera height, log(z / h), for ``log_height``: training fits that, the exported graph turns it
    into metres.

    :param depth: activation, one of :data:`DEPTH_ACTIVATIONS`, or None for no depth.
    :param max_depth: metres; the cap of ``sigmoid`` (NYU 10, KITTI 80, DDAD 200).
    :raises ValueError: the activation is unknown, or there is nothing to predict.
    """

    def __init__(self, dim: int, depth: str | None, num_classes: int,
                 max_depth: float = 10.0) -> None:
        super().__init__()
        if depth is not None and depth not in DEPTH_ACTIVATIONS:
            raise ValueError(f'unknown depth activation "{depth}"; choose from '
                             f'{", ".join(DEPTH_ACTIVATIONS)}')
        if depth is None and not num_classes:
            raise ValueError('a head without a task: give depth or num_classes')
        self.depth, self.num_classes, self.max_depth = depth, num_classes, max_depth
        self.linear = nn.Conv2d(dim, (depth is not None) + num_classes, 1)

    def forward(self, features: torch.Tensor,
                size: tuple[int, int] | None = None) -> dict[str, torch.Tensor]:
        """See the class."""
        values = self.linear(features)
        if size is not None:
            values = F.interpolate(values, size=size, mode='bilinear')
        outputs = {}
        if self.depth is not None:
            outputs['depth'] = self._activate(values[:, 0])
        if self.num_classes:
            outputs['logits'] = values[:, -self.num_classes:]
        return outputs

    def absorb(self, shuffle: nn.PixelShuffle, before: nn.Conv2d) -> None:
        """Merge a shuffle and a linear layer whose output this head reads; in place, for export.

        Two linear layers in a row are one, and one that gives fewer channels than it takes is
        better applied before the shuffle than at full resolution.
        """
        second = self.linear
        with torch.no_grad():
            rows = second.weight.flatten(1)
            merged = nn.Conv2d(before.in_channels, second.out_channels, 1)
            merged.weight.copy_((rows @ before.weight.flatten(1))[:, :, None, None])
            merged.bias.copy_(rows @ before.bias + second.bias)
        self.linear = (LinearThenShuffle(merged, shuffle.upscale_factor)
                       if merged.out_channels < merged.in_channels
                       else nn.Sequential(shuffle, merged))

    def leave_subpixels_apart(self) -> int:
        """Leave out a last PixelShuffle that :meth:`absorb` merged; in place, for export.

        :returns: its factor r: the outputs have (B, ..., r^2, H / r, W / r) in place of
            (B, ..., H, W) from now on. 1: there is none, and nothing changes.
        """
        if not isinstance(self.linear, LinearThenShuffle):
            return 1
        self.linear.apart = True
        return self.linear.scale

    def unabsorbed(self, state: dict[str, torch.Tensor], own: str, before: nn.Conv2d,
                   its: str) -> dict[str, torch.Tensor]:
        """Names and values before :meth:`absorb`: the layer in front becomes the identity.

        :param own, its: prefixes of this head's names and of those of ``before``.
        """
        merged = next((own + name for name in ('linear', 'linear.1')
                       if f'{own}{name}.weight' in state), None)
        if merged is None or before.in_channels != before.out_channels:
            return state
        weight, bias = state[f'{merged}.weight'], state[f'{merged}.bias']
        return {**state, f'{own}linear.weight': weight.flatten(1)[:, :, None, None],
                f'{own}linear.bias': bias.flatten(),
                f'{its}weight': torch.eye(before.in_channels)[:, :, None, None],
                f'{its}bias': torch.zeros(before.out_channels)}

    def _activate(self, value: torch.Tensor) -> torch.Tensor:
        if self.depth == 'sigmoid':
            return self.max_depth * torch.sigmoid(value)
        return torch.exp(value) if self.depth == 'exp' else value

"""Linear per-pixel heads and what their outputs mean."""

from __future__ import annotations

import torch
from torch import nn

DEPTH_ACTIVATIONS = ('sigmoid', 'exp', 'log_height')


class DepthHead(nn.Module):
    """Linear depth head.

    ``forward``: float (B, dim, H, W) -> float (B, H, W). With ``sigmoid`` metres in
    (0, max_depth); with ``exp`` metres; with ``log_height`` the logarithm of depth over camera
    height, log(z / h), which training fits and the exported graph turns into metres.

    :param max_depth: metres; the cap of ``sigmoid`` (NYU 10, KITTI 80, DDAD 200).
    :raises ValueError: the activation is unknown.
    """

    def __init__(self, dim: int, activation: str = 'sigmoid', max_depth: float = 10.0) -> None:
        super().__init__()
        if activation not in DEPTH_ACTIVATIONS:
            raise ValueError(f'unknown depth activation "{activation}"; choose from '
                             f'{", ".join(DEPTH_ACTIVATIONS)}')
        self.activation = activation
        self.max_depth = max_depth
        self.linear = nn.Conv2d(dim, 1, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """See the class."""
        logit = self.linear(features)[:, 0]
        if self.activation == 'sigmoid':
            return self.max_depth * torch.sigmoid(logit)
        return torch.exp(logit) if self.activation == 'exp' else logit


class SegmentationHead(nn.Module):
    """Linear segmentation head: float (B, dim, H, W) -> logits (B, num_classes, H, W)."""

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Conv2d(dim, num_classes, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self.linear(features)

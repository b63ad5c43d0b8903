"""Output heads of DPT (supplementary material, A)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from dense_perception.models.dpt.fusion import upsample

_HIDDEN = 32
_DROPOUT = 0.1
_NEAREST = 1e-8  # 1/metre; what a released inverse depth is at least before it is inverted


class DepthHead(nn.Module):
    """Monocular depth: three convolutions, at the input's resolution from the second on.

    ``forward``: float (B, features, h, w) and (H, W) of the input -> float (B, H, W).

    :param kind: and the other parameters: as in ``DPTConfig``.
    """

    def __init__(self, features: int, kind: str, non_negative: bool, scale: float, shift: float,
                 max_depth: float) -> None:
        super().__init__()
        self.kind, self.non_negative = kind, non_negative
        self.scale, self.shift, self.max_depth = scale, shift, max_depth
        self.conv1 = nn.Conv2d(features, features // 2, 3, padding=1)
        self.conv2 = nn.Conv2d(features // 2, _HIDDEN, 3, padding=1)
        self.conv3 = nn.Conv2d(_HIDDEN, 1, 1)
        if kind.endswith('inverse'):
            # With torch's bias every second model would start at 0 behind the last ReLU, from
            # where no gradient leads away.
            nn.init.ones_(self.conv3.bias)

    def forward(self, x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """See the class."""
        x = upsample(self.conv1(x), size)
        x = self.conv3(F.relu(self.conv2(x))).squeeze(1)
        if self.kind == 'sigmoid':
            return self.max_depth * torch.sigmoid(x)
        if self.kind == 'log_height':
            return x
        if self.non_negative:
            x = F.relu(x)
        if self.kind == 'inverse':
            return x
        return 1 / torch.clamp(self.scale * x + self.shift, min=_NEAREST)


class SegmentationHead(nn.Module):
    """Class logits; the auxiliary head is another one of these.

    ``forward``: float (B, features, h, w) and (H, W) of the input -> float (B, num_classes, H, W).
    """

    def __init__(self, features: int, num_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(features, features, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(features)
        self.dropout = nn.Dropout(_DROPOUT)
        self.classifier = nn.Conv2d(features, num_classes, 1)

    def forward(self, x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """See the class."""
        x = self.dropout(F.relu(self.norm(self.conv(x))))
        return upsample(self.classifier(x), size)

"""Losses of mattes: float (B, H, W), opacity 0..1, truth NaN where unknown."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from dense_perception_training.losses.base import (
    LossError,
    Tensors,
    masked_mean,
    register_loss,
    wanted,
)
from dense_perception_training.losses.depth import multi_scale_gradient


def _error(outputs: Tensors, batch: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
    """Prediction - truth, 0 where unknown, and the mask of known truth, each (B, H, W)."""
    truth = wanted(batch, 'alpha', 'batch').float()
    valid = torch.isfinite(truth)
    predicted = wanted(outputs, 'alpha', 'model').float()
    return torch.where(valid, predicted - torch.where(valid, truth, 0.0), 0.0), valid


@register_loss('alpha_regression')
@dataclass(frozen=True)
class AlphaRegression:
    """Mean |e| (``l1``) or e² (``l2``)."""

    kind: str = 'l1'

    def __post_init__(self) -> None:
        if self.kind not in ('l1', 'l2'):
            raise LossError(f'kind "{self.kind}" is unknown; choose from l1, l2')

    def __call__(self, outputs: Tensors, batch: Tensors) -> torch.Tensor:
        """See the class."""
        error, valid = _error(outputs, batch)
        return masked_mean(error.abs() if self.kind == 'l1' else error.square(), valid)


@register_loss('alpha_gradient')
@dataclass(frozen=True)
class AlphaGradient:
    """L1 of the differences of neighbours after averaging over 1, 2, 4, ... pixels; their mean."""

    scales: int = 3

    def __call__(self, outputs: Tensors, batch: Tensors) -> torch.Tensor:
        """See the class."""
        error, valid = _error(outputs, batch)
        total = error.new_zeros(())
        for scale in range(self.scales):
            pooled, known = (F.avg_pool2d(x.unsqueeze(1), 2 ** scale).squeeze(1)
                             for x in (error, valid.float()))
            total = total + multi_scale_gradient(pooled, known == 1, 1)
        return total / self.scales

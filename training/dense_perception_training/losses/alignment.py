"""Alignment of a clean branch with the diffusion model it was, see ``models.d3.alignment``."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from dense_perception_training.losses.base import LossError, Tensors, register_loss, wanted


@register_loss('expert_alignment')
@dataclass(frozen=True)
class ExpertAlignment:
    """D3-Predictor's L_agg: the model's maps against those of experts at ``strata`` timesteps.

    The experts are the model as it is when training begins, frozen; projection heads learn along.
    """

    strata: int = 3

    def bind(self, model: nn.Module) -> nn.Module:
        """See ``UnboundLoss``."""
        if not hasattr(model, 'alignment'):
            raise LossError(f'the loss "expert_alignment" aligns a diffusion model, such as '
                            f'd3_depth, with itself; {type(model).__name__} is none')
        return _Bound(model.alignment(self.strata))


class _Bound(nn.Module):
    def __init__(self, alignment: nn.Module) -> None:
        super().__init__()
        self.alignment = alignment

    def forward(self, outputs: Tensors, batch: Tensors) -> torch.Tensor:
        """The loss of one batch."""
        return self.alignment(wanted(outputs, 'latent', 'model'),
                              wanted(outputs, 'features', 'model'))

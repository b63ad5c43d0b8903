"""The moving average of a model's weights, which is what gets exported."""

from __future__ import annotations

import torch
from torch import nn


class Average:
    """Exponential moving average that forgets its random start quickly."""

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def __call__(self, averaged: torch.Tensor, current: torch.Tensor,
                 updates: torch.Tensor) -> torch.Tensor:
        """Next average of one tensor after ``updates`` updates."""
        decay = min(self.decay, (1 + int(updates)) / (10 + int(updates)))
        return averaged + (1 - decay) * (current - averaged)


def averaged_model(model: nn.Module, decay: float) -> torch.optim.swa_utils.AveragedModel:
    """A copy of the model, buffers included, that ``update_parameters`` moves along."""
    return torch.optim.swa_utils.AveragedModel(model, avg_fn=Average(decay), use_buffers=True)

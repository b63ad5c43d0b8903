"""The moving average of a model's weights, which is what gets exported."""

from __future__ import annotations

import torch
from torch import nn

Tensors = tuple[torch.Tensor, ...] | list[torch.Tensor]


class Average:
    """Exponential moving average that forgets its random start quickly."""

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def __call__(self, averaged: Tensors, current: Tensors,
                 updates: torch.Tensor | int) -> None:
        """Move tensors of one type after ``updates`` updates; counters are copied."""
        decay = min(self.decay, (1 + int(updates)) / (10 + int(updates)))
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(averaged, current, 1 - decay)
        else:
            torch._foreach_copy_(averaged, current)


def averaged_model(model: nn.Module, decay: float) -> torch.optim.swa_utils.AveragedModel:
    """A copy of the model, buffers included, that ``update_parameters`` moves along."""
    return torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=Average(decay),
                                                 use_buffers=True)

"""Agreement with a teacher, see ``dense_perception_training.teaching``."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dense_perception_training.losses.base import Tensors, masked_mean, register_loss, wanted
from dense_perception_training.losses.depth import in_space, require_space


@register_loss('agreement')
@dataclass(frozen=True)
class Agreement:
    """How far the model is from its teacher, where the teacher looked.

    ``depth`` times the mean |d - d'|, plus ``labels`` times temperature² KL(p' || p), with both
    p = softmax(logits / ``temperature``) (Hinton et al. 2015); 0 leaves a part out. ``space``: of
    the depths; ``depth`` takes them as they are, as is right for a model of log(z / h).
    """

    depth: float = 1.0
    labels: float = 1.0
    temperature: float = 1.0
    space: str = 'depth'

    def __post_init__(self) -> None:
        require_space(self.space)

    def __call__(self, outputs: Tensors, batch: Tensors) -> torch.Tensor:
        """See the class."""
        total = torch.zeros(())
        if self.depth:
            predicted, taught = _pair(outputs, batch, 'depth')
            seen = torch.isfinite(taught)
            # Masked before the logarithm: where() passes NaN gradients of the branch not taken.
            predicted, taught = (in_space(torch.where(seen, d, 1.0), self.space)
                                 for d in (predicted, taught))
            total = self.depth * masked_mean((predicted - taught).abs(), seen)
        if self.labels:
            predicted, taught = _pair(outputs, batch, 'logits')
            seen = torch.isfinite(taught[:, 0])
            p, q = (torch.log_softmax(torch.where(seen.unsqueeze(1), x, 0.0) / self.temperature, 1)
                    for x in (predicted, taught))
            divergence = (q.exp() * (q - p)).sum(dim=1)
            total = total + self.labels * self.temperature ** 2 * masked_mean(divergence, seen)
        return total


def _pair(outputs: Tensors, batch: Tensors, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    return (wanted(outputs, name, 'model').float(),
            wanted(batch, f'taught_{name}', 'batch'))

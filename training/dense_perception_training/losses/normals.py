"""Losses of surface normals: float (B, 3, H, W) unit vectors, truth NaN where unknown."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from dense_perception_training.losses.base import Tensors, masked_mean, register_loss, wanted


def _unit_pair(outputs: Tensors, batch: Tensors,
               ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Prediction and truth as unit vectors, and the mask (B, H, W) of known truth."""
    predicted = wanted(outputs, 'normals', 'model').float()
    truth = wanted(batch, 'normals', 'batch').float()
    valid = torch.isfinite(truth).all(1) & (truth.square().sum(1) > 1e-8)
    truth = torch.where(valid.unsqueeze(1), truth, 1.0)
    return F.normalize(predicted, dim=1), F.normalize(truth, dim=1), valid


@register_loss('normal_l2')
@dataclass(frozen=True)
class NormalL2:
    """Squared distance of unit vectors, 2 - 2 cos(angle) (PolyMaX).

    With ``normalise`` false that of the prediction as it is, whose length counts then
    (D3-Predictor, whose mean over the three components is a third of it).
    """

    normalise: bool = True

    def __call__(self, outputs: Tensors, batch: Tensors) -> torch.Tensor:
        """See the class."""
        predicted, truth, valid = _unit_pair(outputs, batch)
        if not self.normalise:
            predicted = outputs['normals'].float()
        return masked_mean((predicted - truth).square().sum(1), valid)


@register_loss('normal_angle')
@dataclass(frozen=True)
class NormalAngle:
    """Angle in radians. ``margin`` keeps the cosine off +-1, where acos has no finite slope."""

    margin: float = 1e-4

    def __call__(self, outputs: Tensors, batch: Tensors) -> torch.Tensor:
        """See the class."""
        predicted, truth, valid = _unit_pair(outputs, batch)
        cosine = (predicted * truth).sum(1).clamp(self.margin - 1, 1 - self.margin)
        return masked_mean(torch.acos(cosine), valid)

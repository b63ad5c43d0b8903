"""The self-supervised half of D3's training: a clean branch that knows what all experts know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from dense_perception.models.d3.adapters import ProjectionHeads

_FIRST, _LAST = 1, 999
"""Timesteps of the experts: first <= t < last."""


def stratified_timesteps(count: int, strata: int, device: torch.device | str = 'cpu',
                         ) -> torch.Tensor:
    """Random timesteps, int64 (strata, count): row i lies in the i-th of equal parts of 1..998."""
    width = (_LAST - _FIRST) / strata
    part = torch.arange(strata, device=device).unsqueeze(1)
    drawn = _FIRST + width * (part + torch.rand(strata, count, device=device))
    return drawn.long().clamp(max=_LAST - 1)


def cosine_distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """1 - cosine of vectors along the last dimension, mean over all of them.

    As half the squared distance of the unit vectors, which is the same and exactly 0 for equal
    ones.
    """
    difference = F.normalize(a.float(), dim=-1) - F.normalize(b.float(), dim=-1)
    return difference.square().sum(-1).mean() / 2


class ExpertAlignment(nn.Module):
    """Distance of a clean branch's maps, projected, to those of frozen experts on noisy latents.

    D3-Predictor, equation 2: an expert is the denoiser before training, at a timestep of its own.
    For each sample ``strata`` experts are drawn, one from each part of the timesteps. The result
    is the sum over the aligned maps of 1 - cosine, mean over tokens, samples and experts.

    Only the projection heads learn; the experts see no gradient and are not in ``state_dict``'s
    trainable part: they follow from the weights that the run began with.

    :param experts: the denoiser; it is frozen.
    :param context: float (1, tokens, D), the embedded text.
    """

    def __init__(self, experts: Any, context: torch.Tensor, strata: int = 3) -> None:
        super().__init__()
        if strata < 1:
            raise ValueError(f'strata {strata} must be 1 or more')
        self.strata = strata
        self.experts = experts.eval().requires_grad_(False)
        self.heads = ProjectionHeads(experts.feature_widths)
        self.register_buffer('context', context.detach().clone())

    def forward(self, latent: torch.Tensor,
                features: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The loss of a batch: a scalar.

        :param latent: float (B, C, h, w), without noise.
        :param features: the clean branch's, float (B, N, D) by name; computed once, compared with
            every expert.
        """
        total = latent.new_zeros(())
        for timestep in stratified_timesteps(len(latent), self.strata, latent.device):
            noise = torch.randn_like(latent)
            total = total + self.distance(latent, features, timestep, noise)
        return total / self.strata

    def distance(self, latent: torch.Tensor, features: Mapping[str, torch.Tensor],
                 timestep: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor:
        """The distance to one expert a sample, at ``timestep`` int64 (B,).

        :param noise: as ``latent``; None = the expert sees what the clean branch sees.
        """
        with torch.no_grad():
            seen = latent if noise is None else self.experts.noised(latent, noise, timestep)
            _, theirs = self.experts.with_features(seen, timestep, self.context)
        ours = self.heads(features, timestep)
        return torch.stack([cosine_distance(ours[name], theirs[name]) for name in ours]).sum()

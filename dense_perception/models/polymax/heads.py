"""What clusters stand for: classes, depths, directions or vectors of any length."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from dense_perception.models.polymax.config import PolyMaXConfig
from dense_perception.models.polymax.layers import separable

_LEAST = 1e-6  # of a sum of unit vectors that is made one again


@dataclass(frozen=True)
class Target:
    """What one transformer decoder predicts.

    ``output``: its name in the model's dict. ``clusters``: how many, K. ``channels``: of a
    cluster's value, D; 0 where cluster k is class k. ``kind``: what a value is: ``linear``, a
    ``unit`` vector, or ``sigmoid``, up to ``limit``.
    """

    output: str
    clusters: int
    channels: int
    kind: str = 'linear'
    limit: float = 1.0


def targets_of(config: PolyMaXConfig) -> list[Target]:
    """The targets of a configuration."""
    found = []
    if config.depth is not None:
        kind = 'sigmoid' if config.depth == 'sigmoid' else 'linear'
        found.append(Target('depth', config.depth_clusters, 1, kind, config.max_depth))
    if config.num_classes:
        found.append(Target('logits', config.num_classes, 0))
    if config.normals:
        found.append(Target('normals', config.normal_clusters, 3, 'unit'))
    return found + [Target(name, config.map_clusters, channels)
                    for name, channels in config.maps.items()]


class ValueHead(nn.Module):
    """An MLP from a cluster's embedding to its value: float (B, width, K, 1) -> (B, D, K)."""

    def __init__(self, width: int, target: Target) -> None:
        super().__init__()
        self.target = target
        self.fc1 = nn.Conv2d(width, width, 1)
        self.fc2 = nn.Conv2d(width, target.channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        values = self.fc2(F.gelu(self.fc1(x))).squeeze(3)
        if self.target.kind == 'sigmoid':
            return self.target.limit * torch.sigmoid(values)
        return unit(values) if self.target.kind == 'unit' else values


class SemanticHead(nn.Sequential):
    """Classes of pixels by themselves, for training: float (B, channels, h, w) -> (B, C, h, w)."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(nn.GELU(), separable(channels), nn.Conv2d(channels, classes, 1))


def unit(x: torch.Tensor) -> torch.Tensor:
    """Vectors along dimension 1 of length 1; where they are next to 0, of length |x| / 1e-6."""
    return F.normalize(x, dim=1, eps=_LEAST)

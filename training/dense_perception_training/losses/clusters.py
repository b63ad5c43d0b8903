"""What kMaX-DeepLab trains its clusters with: deep supervision and contrast between masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F

from dense_perception.inference.card import UNLABELLED
from dense_perception_training.losses.base import (
    Criterion,
    LossError,
    Tensors,
    register_loss,
    wanted,
)

_PREFIX = 'aux.'


@register_loss('deep_supervision')
@dataclass(frozen=True)
class DeepSupervision:
    """Losses on the final outputs and, with the same weights, on those of every decoder layer.

    ``losses``: as a recipe's list, ``{loss: NAME, weight: W, <options>}``. ``auxiliary``: weight
    of the layers' losses, each, beside the final ones. The model gives the outputs of layer i
    under ``aux.<i>.<name>``; one that gives none has the final losses only.
    """

    losses: tuple[Mapping[str, Any], ...]
    auxiliary: float = 1.0

    def __post_init__(self) -> None:
        bound = [term.name for term in self.criterion.terms if hasattr(term.loss, 'bind')]
        if bound:
            raise LossError(f'{" and ".join(bound)} cannot be repeated for every layer: such a '
                            'loss learns along with one model')

    @cached_property
    def criterion(self) -> Criterion:
        """The sum that each layer has."""
        return Criterion.from_config(self.losses)

    def __call__(self, outputs: Tensors, batch: Tensors) -> torch.Tensor:
        """See the class."""
        total = self.criterion(outputs, batch)['loss']
        for layer in by_layer(outputs).values():
            total = total + self.auxiliary * self.criterion(layer, batch)['loss']
        return total


def by_layer(outputs: Tensors) -> dict[int, dict[str, torch.Tensor]]:
    """The outputs ``aux.<i>.<name>`` as one dict of ``name`` for each layer i."""
    layers: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in outputs.items():
        if key.startswith(_PREFIX):
            number, _, name = key.removeprefix(_PREFIX).partition('.')
            layers.setdefault(int(number), {})[name] = value
    return layers


@register_loss('pixel_contrast')
@dataclass(frozen=True)
class PixelContrast:
    """Pixels of one mask are like each other, and unlike the image's others (MaX-, kMaX-DeepLab).

    ``features`` of the model, float (B, C, h, w) of unit length, are compared by inner products
    over ``temperature``. Of each image ``samples`` pixels are drawn; pixel i's loss is the mean,
    over the others j of its mask, of -log softmax(i, j). A pixel's chance to be drawn is (1 / size
    of its mask) ** (1 / ``sample_temperature``): at 1 all masks get alike, at infinity all pixels.
    """

    temperature: float = 0.3
    samples: int = 1024
    sample_temperature: float = 1.5

    def __call__(self, outputs: Tensors, batch: Tensors) -> torch.Tensor:
        """See the class."""
        features = wanted(outputs, 'features', 'model').float()
        labels = wanted(batch, 'labels', 'batch')
        if features.ndim != 4 or len(features) != len(labels):
            raise LossError(f'features are {tuple(features.shape)}, labels '
                            f'{tuple(labels.shape)}; the first must be (B, C, h, w)')
        small = F.interpolate(labels.unsqueeze(1).float(), size=features.shape[-2:],
                              mode='nearest-exact').long()
        total, images = features.sum() * 0, 0
        for image, mask in zip(features.flatten(2), small.flatten(1), strict=True):
            loss = self._of(image.t(), mask)
            if loss is not None:
                total, images = total + loss, images + 1
        return total / max(images, 1)

    def _of(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor | None:
        """The loss of one image's pixels (N, C); None where no two are of one mask."""
        known = labels != UNLABELLED
        features, labels = features[known], labels[known]
        if not len(labels):
            return None
        sizes = torch.bincount(labels)[labels].float()
        chance = sizes ** (-1 / self.sample_temperature)
        chosen = torch.multinomial(chance, min(self.samples, len(labels)))
        features, labels = features[chosen], labels[chosen]
        itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        alike = (labels.unsqueeze(0) == labels.unsqueeze(1)) & ~itself
        logits = (features @ features.t() / self.temperature).masked_fill(itself, -1e9)
        likely = logits.log_softmax(1)
        count = alike.sum(1)
        if not count.any():
            return None
        each = -torch.where(alike, likely, 0.0).sum(1) / count.clamp(min=1)
        return each[count > 0].mean()

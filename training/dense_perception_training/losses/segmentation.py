"""Segmentation losses. Labels are int64 (B, H, W); 255 does not count."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from dense_perception.inference.card import UNLABELLED
from dense_perception_training.losses.base import (
    LossError,
    Tensors,
    masked_mean,
    register_loss,
    wanted,
)


def _logits_and_labels(outputs: Tensors, batch: Tensors, name: str = 'logits',
                       ) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (B, C, H, W), resized bilinearly where they are coarser, and labels (B, H, W).

    :raises LossError: a label beyond the classes.
    """
    # Not channels last, as a CPU's training has them: the loss then takes 1.2 to 1.4 times as long
    # as with this copy.
    logits = wanted(outputs, name, 'model').float().contiguous()
    labels = wanted(batch, 'labels', 'batch')
    if logits.shape[-2:] != labels.shape[-2:]:
        logits = F.interpolate(logits, size=labels.shape[-2:], mode='bilinear')
    highest = torch.where(labels == UNLABELLED, 0, labels).max()
    if highest >= logits.shape[1] or labels.min() < 0:
        raise LossError(f'labels go from {int(labels.min())} to {int(highest)}, the model has '
                        f'{logits.shape[1]} classes (0..{logits.shape[1] - 1}, {UNLABELLED} for '
                        'unknown)')
    return logits, labels


@register_loss('cross_entropy')
@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy, with the auxiliary head where the model gives ``aux_logits``.

    ``auxiliary``: its weight (DPT .2, UPerNet .4). ``weights``: of the classes, or None.
    ``output``: what is compared: the model's ``logits``, or another output of logits.
    """

    auxiliary: float = 0.2
    smoothing: float = 0.0
    weights: tuple[float, ...] | None = None
    output: str = 'logits'

    def __call__(self, outputs: Tensors, batch: Tensors) -> torch.Tensor:
        """See the class."""
        loss = self._of(outputs, batch, self.output)
        if 'aux_logits' in outputs:
            loss = loss + self.auxiliary * self._of(outputs, batch, 'aux_logits')
        return loss

    def _of(self, outputs: Tensors, batch: Tensors, name: str) -> torch.Tensor:
        logits, labels = _logits_and_labels(outputs, batch, name)
        if not (labels != UNLABELLED).any():
            return (logits * 0).sum()
        weights = None if self.weights is None else logits.new_tensor(self.weights)
        return F.cross_entropy(logits, labels, weights, ignore_index=UNLABELLED,
                               label_smoothing=self.smoothing)


@register_loss('dice')
@dataclass(frozen=True)
class Dice:
    """1 - soft Dice, averaged over the classes present in the batch's truth.

    ``per_image``: each image's class is a mask of its own, as PQ-style losses match them
    (MaX-DeepLab): overlap and size are of one image, and the mean is over all of these masks.
    """

    smooth: float = 1.0
    per_image: bool = False

    def __call__(self, outputs: Tensors, batch: Tensors) -> torch.Tensor:
        """See the class."""
        logits, labels = _logits_and_labels(outputs, batch)
        valid = (labels != UNLABELLED).unsqueeze(1)
        probability = torch.where(valid, logits.softmax(1), 0.0)
        truth = _one_hot(labels, logits.shape[1])
        over = (2, 3) if self.per_image else (0, 2, 3)
        overlap, present = (probability * truth).sum(over), truth.sum(over)
        dice = 1 - (2 * overlap + self.smooth) / (probability.sum(over) + present + self.smooth)
        return masked_mean(dice, present > 0)


@register_loss('focal')
@dataclass(frozen=True)
class Focal:
    """Focal loss (Lin 2017) of the softmax: mean of -(1 - p)^gamma log p."""

    gamma: float = 2.0

    def __call__(self, outputs: Tensors, batch: Tensors) -> torch.Tensor:
        """See the class."""
        logits, labels = _logits_and_labels(outputs, batch)
        log_p = -F.cross_entropy(logits, labels, ignore_index=UNLABELLED, reduction='none')
        return masked_mean(-(1 - log_p.exp()) ** self.gamma * log_p, labels != UNLABELLED)


def _one_hot(labels: torch.Tensor, classes: int) -> torch.Tensor:
    """One-hot labels, float (B, C, H, W); all zero where unlabelled."""
    known = labels != UNLABELLED
    hot = F.one_hot(torch.where(known, labels, 0), classes).permute(0, 3, 1, 2)
    return hot * known.unsqueeze(1)

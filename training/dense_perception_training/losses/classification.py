"""The loss of image classifiers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from dense_perception_training.losses.base import Tensors, register_loss, wanted


@register_loss('class_cross_entropy')
@dataclass(frozen=True)
class ClassCrossEntropy:
    """Cross-entropy of whole images, averaged over all heads where each stage has one.

    The batch has ``target`` float (B, C), shares that sum to 1: smoothed, or mixed of two images.
    """

    def __call__(self, outputs: Tensors, batch: Tensors) -> torch.Tensor:
        """See the class."""
        target = wanted(batch, 'target', 'batch')
        heads = [wanted(outputs, 'class_logits', 'model')]
        if 'aux_class_logits' in outputs:
            heads += outputs['aux_class_logits'].unbind(1)
        return torch.stack([F.cross_entropy(logits.float(), target) for logits in heads]).mean()

"""CEDNet as an image classifier, which is how its backbones are pre-trained."""

from __future__ import annotations

import torch
from timm.layers import LayerNorm2d, trunc_normal_
from torch import nn

from dense_perception.models.cednet.backbone import CEDNet
from dense_perception.models.cednet.config import ClassifierConfig

WIDTH = 2048


class ClassHead(nn.Module):
    """Classes of a stage's coarsest map: float (B, in_channels, h, w) -> (B, num_classes)."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(in_channels, WIDTH, 1), LayerNorm2d(WIDTH, eps=1e-6),
                                    nn.GELU())
        self.norm = nn.LayerNorm(WIDTH, eps=1e-6)
        self.linear = nn.Linear(WIDTH, num_classes)
        for layer in (self.expand[0], self.linear):
            trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self.linear(self.norm(self.expand(x).mean((2, 3))))


class CEDNetClassifier(nn.Module):
    """CEDNet without its last decoder, and a head on the coarsest map of each stage.

    ``forward``: float (B, in_chans, H, W), normalised; H and W multiples of 32 -> dict with
    ``class_logits`` (B, num_classes), those of the last stage; in training with
    ``deep_supervision`` also ``aux_class_logits`` (B, stages - 1, num_classes), those of the
    earlier stages, first to last.

    :raises ValueError: a size that is no multiple of 32.
    """

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config, self.in_chans = config, config.in_chans
        self.backbone = CEDNet(config, config.in_chans, last_decoder=False)
        supervised = range(0 if config.deep_supervision else config.stages - 1, config.stages)
        self.heads = nn.ModuleDict({
            str(stage): ClassHead(config.channels[-1], config.num_classes)
            for stage in supervised})

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """See the class."""
        coarsest = [maps[-1] for maps in self.backbone(x)[1]]
        last = str(len(coarsest) - 1)
        outputs = {'class_logits': self.heads[last](coarsest[-1])}
        if self.training and len(self.heads) > 1:
            outputs['aux_class_logits'] = torch.stack(
                [head(coarsest[int(stage)]) for stage, head in self.heads.items()
                 if stage != last], dim=1)
        return outputs

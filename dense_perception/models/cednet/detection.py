"""CEDNet under torchvision's RetinaNet and Mask R-CNN."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.detection import MaskRCNN, RetinaNet

from dense_perception.models._torchvision import provide_detection_ops
from dense_perception.models.cednet.neck import LastDecoder
from dense_perception.models.encoders import create_encoder
from dense_perception.models.inputs import IMAGENET_MEAN, IMAGENET_STD

FRAMEWORKS = ('retinanet', 'mask_rcnn')

# What Mask R-CNN's second half is counted at: it usually looks at that many boxes and masks.
_BOXES, _MASKS = 1000, 100
_BOX_SIDE, _MASK_SIDE = 7, 14


@dataclass(frozen=True)
class DetectorConfig:
    """Backbone and framework of a detector.

    ``encoder``, ``encoder_options``, ``pretrained``: as in ``CEDNetConfig``. ``framework``:
    ``retinanet`` (boxes; levels P3 to P7) or ``mask_rcnn`` (boxes and masks; P2 to P6).
    ``num_classes``: of objects, background not counted. ``width``: of the levels. ``smallest``,
    ``largest``: images are resized so that their shorter side is the one, and the longer at most
    the other. ``options``: further keyword arguments of torchvision's class.

    :raises ValueError: a framework that does not exist.
    """

    encoder: str = 'cednet_next_tiny'
    encoder_options: Mapping[str, Any] = field(default_factory=dict)
    framework: str = 'retinanet'
    num_classes: int = 80
    width: int = 256
    smallest: int = 800
    largest: int = 1333
    pretrained: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.framework not in FRAMEWORKS:
            raise ValueError(f'framework "{self.framework}" is unknown; choose from '
                             f'{", ".join(FRAMEWORKS)}')


class DetectionLevels(nn.Module):
    """Encoder and last decoder as torchvision wants its backbones.

    RetinaNet: P3 to P7, the last two by convolutions of stride 2. Mask R-CNN: P2 to P6, P2 with a
    3x3 convolution, P6 every second position of P5, as in torchvision's own feature pyramid.

    ``forward``: float (B, 3, H, W), H and W multiples of 32 -> {'0': finest map, '1': ...}, all
    of ``out_channels``.
    """

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        two_stages = config.framework == 'mask_rcnn'
        taps = (0, 1, 2, 3) if two_stages else (1, 2, 3)
        self.encoder = create_encoder(config.encoder, taps, 3, config.pretrained,
                                      last_decoder=False, **config.encoder_options)
        self.neck = LastDecoder(self.encoder.channels, config.width,
                                extra=0 if two_stages else 2, smooth=two_stages)
        self.pooled = two_stages
        self.out_channels = config.width

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """See the class."""
        levels = self.neck(self.encoder(x))
        if self.pooled:
            levels.append(F.max_pool2d(levels[-1], 1, 2))
        return {str(n): level for n, level in enumerate(levels)}


class CEDNetDetector(nn.Module):
    """A detector; images in, boxes out.

    ``forward(images, targets)``: a list of float (3, H_i, W_i), RGB in 0..1, of any sizes, and in
    training as many dicts with ``boxes`` float (N, 4), x0 y0 x1 y1 in pixels, ``labels`` int64
    (N,), 0 .. num_classes - 1, and for Mask R-CNN ``masks`` uint8 (N, H_i, W_i). In training ->
    losses by name; else -> a list of dicts with ``boxes``, ``labels``, ``scores`` and, of Mask
    R-CNN, ``masks`` float (N, 1, H_i, W_i), all in the pixels of the images as they came.
    Normalising, resizing and padding happen inside.

    :raises ValueError: a configuration or a backbone that cannot be.
    """

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        provide_detection_ops()
        self.config = config
        # torchvision's class 0 of Mask R-CNN is the background.
        self.first = int(config.framework == 'mask_rcnn')
        kind = MaskRCNN if self.first else RetinaNet
        self.net = kind(DetectionLevels(config), config.num_classes + self.first,
                        min_size=config.smallest, max_size=config.largest,
                        image_mean=list(IMAGENET_MEAN), image_std=list(IMAGENET_STD),
                        **config.options)

    @property
    def encoder(self) -> nn.Module:
        """The backbone, which may learn at other rates than the rest."""
        return self.net.backbone.encoder

    def forward(self, images: list[torch.Tensor],
                targets: list[dict[str, torch.Tensor]] | None = None) -> Any:
        """See the class."""
        if targets is not None and self.first:
            targets = [{**target, 'labels': target['labels'] + self.first} for target in targets]
        found = self.net(list(images), targets)
        if self.training or not self.first:
            return found
        return [{**one, 'labels': one['labels'] - self.first} for one in found]

    def raw(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Every layer once, whatever is in the image: for counting what it costs.

        :param x: float (B, 3, H, W), normalised; H and W multiples of 32.
        """
        levels = list(self.net.backbone(x).values())
        if not self.first:
            return self.net.head(levels)
        self.net.rpn.head(levels)
        heads, channels = self.net.roi_heads, self.config.width
        classes, boxes = heads.box_predictor(heads.box_head(
            x.new_zeros(_BOXES, channels, _BOX_SIDE, _BOX_SIDE)))
        masks = heads.mask_predictor(heads.mask_head(
            x.new_zeros(_MASKS, channels, _MASK_SIDE, _MASK_SIDE)))
        return {'class_logits': classes, 'box_regression': boxes, 'mask_logits': masks}

"""PolyMaX: one mask transformer for depth, segmentation, normals and other dense targets."""

from __future__ import annotations

import torch
from torch import nn

from dense_perception.models.encoders import PyramidEncoder, require_timm_model
from dense_perception.models.inputs import require_multiple
from dense_perception.models.polymax.clusters import ClusterDecoder, Clusters
from dense_perception.models.polymax.config import LEVELS, PolyMaXConfig
from dense_perception.models.polymax.heads import SemanticHead, Target, targets_of, unit
from dense_perception.models.polymax.layers import resized
from dense_perception.models.polymax.pixel_decoder import STRIDES, PixelDecoder

STRIDE = STRIDES[0]
AUXILIARY = 'aux.'
"""Outputs of the layers, in training, are named by it and the layer's number: aux.0.depth."""


class PolyMaX(nn.Module):
    """Yang et al., "PolyMaX: General Dense Prediction with Mask Transformer" (2023).

    ``forward``: float (B, 3 + mount_channels, H, W), normalised; H and W multiples of 32, or both
    of them 1 more -> dict with ``depth`` (B, H, W), ``logits`` (B, num_classes, H, W), ``normals``
    (B, 3, H, W), unit vectors, and the other ``maps`` (B, D, H, W), those that are configured. In
    training also, of layer i of the decoders, ``aux.<i>.<name>`` of each of these (logits at 1/4
    of the image); of segmentation ``features`` (B, embedding, h, w), of unit length, with
    ``aux.<i>.features``; and ``semantic_logits`` (B, num_classes, h, w) of the semantic head.

    >>> model = PolyMaX(PolyMaXConfig(num_classes=40, normals=True)).eval()
    >>> {k: tuple(v.shape) for k, v in model(torch.zeros(1, 3, 64, 96)).items()}
    {'depth': (1, 64, 96), 'logits': (1, 40, 64, 96), 'normals': (1, 3, 64, 96)}

    :raises ValueError: a configuration or a timm name that does not exist.
    """

    def __init__(self, config: PolyMaXConfig) -> None:
        super().__init__()
        self.config = config
        self.in_chans = 3 + config.mount_channels
        require_timm_model(config.encoder)
        self.encoder = PyramidEncoder(
            config.encoder, tuple(range(-LEVELS, 0)), self.in_chans, config.pretrained,
            odd_sizes=True, pre_activation=True, **config.encoder_options)
        if tuple(self.encoder.strides) != STRIDES[::-1]:
            raise ValueError(f'encoder "{config.encoder}" has maps at 1 / {self.encoder.strides}; '
                             f'a PolyMaX needs 1 / {list(STRIDES[::-1])}, as convnext_tiny has')
        self.pixel_decoder = PixelDecoder(self.encoder.channels, config)
        channels = self.pixel_decoder.channels
        self.decoders = nn.ModuleDict({
            target.output: ClusterDecoder(channels, config, target)
            for target in targets_of(config)})
        self.semantic_head = None
        if config.num_classes and config.semantic_head:
            self.semantic_head = SemanticHead(channels[-1], config.num_classes)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """See the class.

        :raises ValueError: H or W is no such multiple; the message proposes the next size.
        """
        size = tuple(x.shape[-2:])
        maps = self.pixels(x)
        outputs: dict[str, torch.Tensor] = {}
        for decoder in self.decoders.values():
            *layers, last = decoder(maps)
            outputs |= self._read(decoder.target, last, size, size)
            for index, clusters in enumerate(layers if self.training else []):
                read = self._read(decoder.target, clusters, size, tuple(maps[-1].shape[-2:]))
                outputs |= {f'{AUXILIARY}{index}.{name}': value for name, value in read.items()}
        if self.training and self.semantic_head is not None:
            outputs['semantic_logits'] = self.semantic_head(maps[-1])
        return outputs

    def pixels(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The pixel decoder's maps at 1/32, 1/16, 1/8 and 1/4."""
        if any(side % STRIDE != 1 for side in x.shape[-2:]):
            require_multiple(x, STRIDE)
        return self.pixel_decoder(self.encoder(x))

    def clusters(self, x: torch.Tensor) -> dict[str, Clusters]:
        """What each target's decoder finds at last: what its map is the mean of, at 1/4."""
        maps = self.pixels(x)
        return {name: decoder(maps)[-1] for name, decoder in self.decoders.items()}

    def fold_for_inference(self, height: int, width: int) -> None:
        """Compute position embeddings for one input size once; in place, for export."""
        self.encoder.fold_for_inference(height, width)
        self.pixel_decoder.fold_for_inference(height, width)

    def _read(self, target: Target, clusters: Clusters, size: tuple[int, ...],
              logits_size: tuple[int, ...]) -> dict[str, torch.Tensor]:
        """The outputs of one target, its maps resized to ``size``."""
        if target.channels == 0:
            outputs = {target.output: resized(clusters.logits, logits_size)}
            return outputs | ({'features': clusters.features} if self.training else {})
        value = resized(clusters.mean(), size)
        if target.kind == 'unit':
            value = unit(value)
        return {target.output: value.squeeze(1) if target.output == 'depth' else value}

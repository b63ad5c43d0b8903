"""The transformer decoder: clusters found by k-means cross-attention (kMaX-DeepLab)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from timm.layers import DropPath
from torch import nn

from dense_perception.models.polymax.config import PolyMaXConfig
from dense_perception.models.polymax.heads import Target, ValueHead
from dense_perception.models.polymax.layers import conv_norm, norm, separable

_LOGIT_GAIN = 0.1


@dataclass(frozen=True)
class Clusters:
    """What a decoder says of an image's pixels and clusters.

    ``logits``: float (B, K, h, w), of which a softmax over K gives the probability maps.
    ``values``: float (B, D, K), of each cluster; None where a cluster is a class.
    ``features``: float (B, C, h, w), of unit length: what the clusters were compared with.
    """

    logits: torch.Tensor
    values: torch.Tensor | None
    features: torch.Tensor

    @property
    def probabilities(self) -> torch.Tensor:
        """Probability maps: float (B, K, h, w), of sum 1 over K (equation 2)."""
        return self.logits.softmax(1)

    def mean(self) -> torch.Tensor:
        """The values, weighted by the probability maps: float (B, D, h, w)."""
        flat = self.probabilities.flatten(2)
        return (self.values @ flat).unflatten(2, self.logits.shape[-2:])


class Predictor(nn.Module):
    """Compares pixels with clusters, and gives clusters their values.

    :param width: channels of both. :param embedding: channels in which they are compared.
    """

    def __init__(self, width: int, embedding: int, target: Target) -> None:
        super().__init__()
        self.pixels = nn.Sequential(separable(width),
                                    conv_norm(width, embedding, act=False))
        self.kernels = conv_norm(width, embedding, act=False)
        self.norm = norm(1, _LOGIT_GAIN)
        self.values = None if target.channels == 0 else ValueHead(width, target)

    def compare(self, pixels: torch.Tensor, centres: torch.Tensor,
                ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (B, K, h, w) and unit features (B, embedding, h, w).

        :param pixels: float (B, width, h, w). :param centres: float (B, width, K, 1).
        """
        features = F.normalize(self.pixels(pixels), dim=1)
        kernels = self.kernels(centres).squeeze(3).transpose(1, 2)
        logits = self.norm((kernels @ features.flatten(2)).unsqueeze(1)).squeeze(1)
        return logits.unflatten(2, features.shape[-2:]), features

    def forward(self, pixels: torch.Tensor, mask_embedding: torch.Tensor,
                value_embedding: torch.Tensor) -> Clusters:
        """See the class; arguments as of ``compare``."""
        logits, features = self.compare(pixels, mask_embedding)
        values = None if self.values is None else self.values(value_embedding)
        return Clusters(logits, values, features)


def assignment(logits: torch.Tensor) -> torch.Tensor:
    """Which cluster each pixel belongs to: one-hot float (B, K, h, w), without a gradient."""
    best = logits.detach().argmax(1, keepdim=True)
    numbers = torch.arange(logits.shape[1], device=logits.device).view(1, -1, 1, 1)
    return (best == numbers).to(logits.dtype)


class SelfAttention(nn.Module):
    """Clusters look at each other: float (B, width, K, 1) -> the same.

    As kMaX-DeepLab has it: keys of half the channels, logits and what is read normalised.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.sizes = (width // 2, width // 2, width)
        self.qkv = conv_norm(width, sum(self.sizes), act=False)
        self.logits_norm = norm(heads)
        self.norm = norm(width)
        self.project = conv_norm(width, width, act=False, gain=0.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        queries, keys, values = (part.squeeze(3).unflatten(1, (self.heads, -1))
                                 for part in self.qkv(x).split(self.sizes, dim=1))
        weights = self.logits_norm(queries.transpose(2, 3) @ keys).softmax(3)
        read = (values @ weights.transpose(2, 3)).flatten(1, 2).unsqueeze(3)
        return self.project(F.gelu(self.norm(read)))


class KMeansLayer(nn.Module):
    """One k-means step: each centre gets the sum of what its pixels say.

    ``forward``: float (B, width, K, 1), (B, channels, h, w), not activated -> the new centres, and
    what the assignment was made from. A sum, not a mean: a large cluster moves further.

    :param channels: of the pixels' features.
    """

    def __init__(self, channels: int, config: PolyMaXConfig, target: Target) -> None:
        super().__init__()
        width = config.width
        self.centres = conv_norm(width, width)
        self.pixels = conv_norm(channels, width)
        self.predictor = Predictor(width, config.embedding, target)
        self.values = conv_norm(width, width, act=False)
        self.update = nn.Sequential(norm(width), conv_norm(width, width, act=False, gain=0.0))
        self.attention = SelfAttention(width, config.query_heads)
        self.ffn = nn.Sequential(conv_norm(width, config.width_ffn),
                                 conv_norm(config.width_ffn, width, act=False, gain=0.0))
        self.drop_path = DropPath(config.drop_path)

    def forward(self, centres: torch.Tensor, features: torch.Tensor,
                ) -> tuple[torch.Tensor, Clusters]:
        """See the class."""
        middle = self.centres(centres)
        pixels = self.pixels(F.gelu(features))
        found = self.predictor(pixels, middle, middle)
        update = self.update(collected(assignment(found.logits), self.values(pixels)))
        centres = F.gelu(centres + self.drop_path(update)
                         + self.drop_path(self.attention(middle)))
        return F.gelu(centres + self.drop_path(self.ffn(centres))), found


def collected(assigned: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Sum of the values of each cluster's pixels: float (B, C, K, 1).

    :param assigned: float (B, K, h, w). :param values: float (B, C, h, w).
    """
    return (values.flatten(2) @ assigned.flatten(2).transpose(1, 2)).unsqueeze(3)


class ClusterDecoder(nn.Module):
    """From learnt queries to the clusters of one image, for one target.

    ``forward``: the pixel decoder's maps, coarsest first -> the clusters of each layer, and at
    last those at 1/4.

    :param channels: of the pixel decoder's maps.
    """

    def __init__(self, channels: Sequence[int], config: PolyMaXConfig, target: Target) -> None:
        super().__init__()
        self.target = target
        self.queries = nn.Parameter(torch.empty(1, config.width, target.clusters, 1))
        nn.init.trunc_normal_(self.queries, std=1.0)
        self.layers = nn.ModuleList(
            KMeansLayer(channels[level], config, target)
            for level, count in enumerate(config.layers) for _ in range(count))
        self.levels = [level for level, count in enumerate(config.layers) for _ in range(count)]
        self.mask_embedding = conv_norm(config.width, config.width)
        self.value_embedding = None
        if target.channels:
            self.value_embedding = conv_norm(config.width, config.width)
        self.pixels = (nn.Identity() if channels[-1] == config.width
                       else conv_norm(channels[-1], config.width))
        self.predictor = Predictor(config.width, config.embedding, target)

    def forward(self, maps: Sequence[torch.Tensor]) -> list[Clusters]:
        """See the class."""
        centres = self.queries.repeat(len(maps[0]), 1, 1, 1)
        found = []
        for level, layer in zip(self.levels, self.layers, strict=True):
            centres, clusters = layer(centres, maps[level])
            found.append(clusters)
        masks = self.mask_embedding(centres)
        values = masks if self.value_embedding is None else self.value_embedding(centres)
        return [*found, self.predictor(self.pixels(F.gelu(maps[-1])), masks, values)]

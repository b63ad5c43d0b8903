"""What defines a PolyMaX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DEPTHS = ('sigmoid', 'log_height')
KINDS = ('axial', 'bottleneck')
POSITIONS = ('table', 'mlp', 'none')
LEVELS = 4


@dataclass(frozen=True)
class PolyMaXConfig:
    """Pixel encoder, pixel decoder, transformer decoders and what is predicted.

    ``encoder``: a timm pyramid with maps at 1/4 to 1/32; ``encoder_options``: further keyword
    arguments of it; ``pretrained``: begin with timm's weights. ``mount_channels``: input channels
    beside RGB (see ``models.inputs``).

    The pixel decoder has a stage at each of 1/32, 1/16, 1/8 and 1/4: ``dims``, a quarter of its
    channels; ``blocks``, how many residual blocks; ``kinds``, one of :data:`KINDS`.
    ``attention_heads``: of the axial blocks. ``positions``: what their attention knows of where
    things are: ``table`` (the code's: an embedding of each offset on the grid of an image of
    ``image_size``, (height, width); on other grids it is interpolated), ``mlp`` (embeddings
    computed from the offset: no size is special) or ``none``.

    Each target has a transformer decoder of its own on the same pixels: ``layers`` k-means
    cross-attention layers on 1/32, 1/16 and 1/8, of ``width`` channels, ``width_ffn`` in the
    feed-forward part and ``query_heads`` in the self-attention; ``drop_path`` of their branches.
    ``embedding``: channels in which pixels and clusters are compared.

    Targets: ``depth``, None or what a depth is: ``sigmoid`` (metres up to ``max_depth``) or
    ``log_height`` (logarithm of depth over camera height, for ``mount_channels``), from
    ``depth_clusters``. ``num_classes``: a cluster for each, 0 for no segmentation;
    ``semantic_head``: beside it, for training, a plain one. ``normals``, from ``normal_clusters``.
    ``maps``: any others, name -> channels, from ``map_clusters``.

    :raises ValueError: a choice that does not exist, or values that do not fit together.
    """

    encoder: str = 'convnext_tiny.fb_in22k'
    encoder_options: Mapping[str, Any] = field(default_factory=dict)
    pretrained: bool = False
    mount_channels: int = 0
    image_size: tuple[int, int] = (480, 640)
    dims: tuple[int, ...] = (512, 256, 128, 64)
    blocks: tuple[int, ...] = (1, 5, 1, 1)
    kinds: tuple[str, ...] = ('axial', 'axial', 'bottleneck', 'bottleneck')
    attention_heads: int = 8
    positions: str = 'table'
    layers: tuple[int, ...] = (2, 2, 2)
    width: int = 256
    width_ffn: int = 2048
    query_heads: int = 8
    drop_path: float = 0.0
    embedding: int = 128
    depth: str | None = 'sigmoid'
    max_depth: float = 10.0
    depth_clusters: int = 16
    num_classes: int = 0
    semantic_head: bool = True
    normals: bool = False
    normal_clusters: int = 8
    maps: Mapping[str, int] = field(default_factory=dict)
    map_clusters: int = 16

    def __post_init__(self) -> None:
        for name in ('image_size', 'dims', 'blocks', 'kinds', 'layers'):  # JSON has lists only
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.depth is not None and self.depth not in DEPTHS:
            raise ValueError(f'depth "{self.depth}" is unknown; choose from {", ".join(DEPTHS)} '
                             'or None')
        if self.positions not in POSITIONS:
            raise ValueError(f'positions "{self.positions}" is unknown; choose from '
                             f'{", ".join(POSITIONS)}')
        if unknown := sorted(set(self.kinds) - set(KINDS)):
            raise ValueError(f'kinds {unknown} are unknown; choose from {", ".join(KINDS)}')
        for name, count in (('dims', LEVELS), ('blocks', LEVELS), ('kinds', LEVELS),
                            ('layers', LEVELS - 1)):
            if len(getattr(self, name)) != count:
                raise ValueError(f'{name} {getattr(self, name)} must be {count}, one per level')
        if self.depth is None and not (self.num_classes or self.normals or self.maps):
            raise ValueError('a PolyMaX without a target: give depth, num_classes, normals or '
                             'maps')
        if taken := sorted(set(self.maps) & {'depth', 'logits', 'normals'}):
            raise ValueError(f'maps {taken}: these names belong to the targets that have fields '
                             'of their own')

"""Encoders: any timm backbone, reduced to what a decoder needs of it.

Every encoder has ``channels`` and ``strides`` (one per tap), ``multiple`` (what both sides of its
input must be a multiple of), ``forward`` (float (B, C, H, W) -> a list of float
(B, ``channels[i]``, H / ``strides[i]``, W / ``strides[i]``)) and ``fold_for_inference``.
"""

from dense_perception.models.encoders.names import is_tokens, require_timm_model
from dense_perception.models.encoders.pyramid import PyramidEncoder
from dense_perception.models.encoders.tokens import POS_INTERPS, TokenEncoder

Encoder = PyramidEncoder | TokenEncoder

__all__ = ['POS_INTERPS', 'Encoder', 'PyramidEncoder', 'TokenEncoder', 'create_encoder',
           'require_timm_model']


def create_encoder(name: str, taps: tuple[int, ...] = (-1,), in_chans: int = 3,
                   pretrained: bool = False, image_size: tuple[int, int] | None = None,
                   **options: object) -> Encoder:
    """The encoder of a timm name: tokens for a plain ViT or DINOv2, else a feature pyramid.

    :param taps: stages of a pyramid, blocks of a ViT; below 0 counts from the end.
    :param in_chans: input channels; a pre-trained stem ignores those beside RGB at first.
    :param pretrained: load timm's weights (from its cache or the hub).
    :param image_size: (height, width) that position tables are made for, where the model has
        some; other sizes work and interpolate them. None = the timm model's own.
    :param options: further keyword arguments of the timm model or of :class:`TokenEncoder`.
    :raises ValueError: timm has no such model; the message lists similar ones.
    """
    require_timm_model(name)
    kind = TokenEncoder if is_tokens(name) else PyramidEncoder
    return kind(name, taps, in_chans, pretrained, image_size, **options)

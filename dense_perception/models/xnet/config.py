"""What defines an xNet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dense_perception.models.layers.reshape import ACTS, NORMS, OPERATIONS

MIX_WITH = ('stem', 'image')
ALIGN = ('fit', 'interp')


@dataclass(frozen=True)
class XNetConfig:
    """Encoder, decoder, how they are mixed, and what is predicted.

    ``encoder``: any timm name. ``decoder``: a timm ConvNeXt or ConvNeXtV2 of any size.
    ``encoder_options``, ``decoder_options``: further keyword arguments of the timm models; weights
    of your own come in with ``{'pretrained_cfg_overlay': {'file': PATH}}``.

    ``pretrained``: begin with timm's weights; ``pretrained_encoder`` and ``pretrained_decoder``
    say for which of the two. The tag of the name says which: ``convnext_tiny.fb_in22k``.

    ``mix_with``: where the encoder's re-shaped map goes: ``stem``, the output of the decoder's
    stem (xNet), or ``image``, the decoder's image (xNet-I). ``operation``: ``multiply``, ``add``,
    or ``replace``, where the map takes the place of what it would be mixed with.
    ``align``: how encoders whose positions do not lie on the decoder's grid (patches of 14) are
    brought there: ``fit`` shows them a smaller image, ``interp`` resizes the re-shaped map.

    ``width``: channels of the PFP and the RS hidden layers; None = the decoder stem's. ``blend``:
    side of the PFP's depthwise convolution, odd; 0 = none, as in the paper. ``norm`` and ``act``
    are those of RS, and of the decoder where its options say so. ``depth`` is the depth head's
    activation or None, see ``heads.dense``.
    ``image_size``: (height, width) that position tables of Swin and ViT encoders are made for, 224
    as in the published counts; pre-trained tables are resampled to it, so train with the crop's.
    ``mount_channels``: input channels beside RGB (see ``models.inputs``).

    :raises ValueError: a choice that does not exist.
    """

    encoder: str = 'convnext_tiny.fb_in22k'
    decoder: str = 'convnext_tiny.fb_in22k'
    encoder_options: Mapping[str, Any] = field(default_factory=dict)
    decoder_options: Mapping[str, Any] = field(default_factory=dict)
    mix_with: str = 'stem'
    operation: str = 'multiply'
    align: str = 'fit'
    width: int | None = None
    blend: int = 0
    norm: str = 'layer'
    act: str = 'gelu'
    depth: str | None = 'sigmoid'
    max_depth: float = 10.0
    num_classes: int = 0
    mount_channels: int = 0
    image_size: tuple[int, int] = (224, 224)
    pretrained: bool = False
    pretrained_encoder: bool = True
    pretrained_decoder: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, 'image_size', tuple(self.image_size))  # JSON has lists only
        for name, choices in (('mix_with', MIX_WITH), ('operation', OPERATIONS), ('align', ALIGN),
                              ('norm', tuple(NORMS)), ('act', tuple(ACTS))):
            if (value := getattr(self, name)) not in choices:
                raise ValueError(f'{name} "{value}" is unknown; choose from {", ".join(choices)}')
        if self.blend and (self.blend < 0 or self.blend % 2 == 0):
            raise ValueError(f'blend {self.blend} is not an odd number, or 0 for none')

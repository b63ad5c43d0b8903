"""Vision transformers: ViT, DINOv2 (with or without register tokens), and ViT behind a ResNet."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import Conv2dSame, StdConv2dSame
from torch import nn

from dense_perception.models.layers.stem import create_timm_model

POS_INTERPS = ('dinov2', 'hf', 'timm', 'dpt_bilinear')


class TokenEncoder(nn.Module):
    """Blocks of a timm ViT as feature maps. See the package for the interface.

    ``tokens`` gives them as they are, with the prefix tokens (class, registers) in front. What no
    tap reads (later blocks; the final normalisation without ``norm_taps``) is kept, for counts and
    checkpoints, but frozen: DDP then waits for no gradient that never comes.

    :param name: a timm vision transformer, e.g. ``vit_large_patch14_dinov2.lvd142m``.
    :param taps: blocks whose outputs are taken; below 0 counts from the end.
    :param stages: stages of the ResNet in front of a hybrid, e.g. ``vit_base_r50_s16_384``, whose
        outputs are taken as well; they come first.
    :param norm_taps: pass the taps through the final normalisation (DINOv2's way; DPT does not).
    :param pos_interp: how position embeddings follow another grid than theirs: ``dinov2`` (bicubic
        by the factor (h + 0.1) / h0, as in DINOv2 and Depth Anything), ``hf`` (bicubic to the
        size), ``timm`` (bicubic, antialiased) or ``dpt_bilinear`` (bilinear, as in DPT).
    :raises ValueError: a tap, stage or ``pos_interp`` that does not exist.
    Other parameters as in ``create_encoder``.
    """

    def __init__(self, name: str, taps: tuple[int, ...] = (-1,), in_chans: int = 3,
                 pretrained: bool = False, image_size: tuple[int, int] | None = None,
                 norm_taps: bool = True, pos_interp: str = 'dinov2',
                 stages: tuple[int, ...] = (), **options: object) -> None:
        super().__init__()
        if pos_interp not in POS_INTERPS:
            raise ValueError(f'pos_interp "{pos_interp}" is unknown; choose from '
                             f'{", ".join(POS_INTERPS)}')
        if image_size is not None:
            options = {**options, 'img_size': image_size}
        self.body = create_timm_model(name, in_chans, pretrained, num_classes=0,
                                      dynamic_img_size=True, **options)
        depth = len(self.body.blocks)
        wrong = [tap for tap in taps if not -depth <= tap < depth]
        if wrong:
            raise ValueError(f'encoder "{name}" has {depth} blocks, there is no tap {wrong}')
        self.taps = tuple(tap % depth for tap in taps)
        self.norm_taps, self.pos_interp = norm_taps, pos_interp
        self.prefix_tokens: int = self.body.num_prefix_tokens
        self.patch: int = _patch_of(self.body)
        self.grid: tuple[int, int] = tuple(self.body.patch_embed.grid_size)
        self.stages = stages
        in_front = _stages_of(self.body)
        wrong = [stage for stage in stages if not 0 <= stage < len(in_front)]
        if wrong:
            raise ValueError(f'encoder "{name}" has {len(in_front)} ResNet stages in front of its '
                             f'blocks, there is no stage {wrong}; a hybrid such as '
                             'vit_base_r50_s16_384 has 0, 1 and 2')
        self.channels = [in_front[stage]['num_chs'] for stage in stages]
        self.channels += [self.body.embed_dim] * len(self.taps)
        self.strides = [in_front[stage]['reduction'] for stage in stages]
        self.strides += [self.patch] * len(self.taps)
        self.multiple = self.patch
        self.body.blocks[max(self.taps) + 1:].requires_grad_(False)
        if not norm_taps:
            self.body.norm.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Feature maps of the stages, then of the taps' patch tokens in the blocks' order."""
        height, width = (side // self.patch for side in x.shape[-2:])
        maps, taps = self.maps_and_tokens(x)
        return maps + [tokens[:, self.prefix_tokens:].transpose(1, 2).unflatten(2, (height, width))
                       for tokens in taps]

    def tokens(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Outputs of the taps: float (B, prefix tokens + H W / patch², channels) each."""
        return self.maps_and_tokens(x)[1]

    def maps_and_tokens(self, x: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Feature maps of the stages as in ``forward``, outputs of the taps as in ``tokens``."""
        if not self.stages:
            return [], self.blocks(self.body.patch_embed(x))
        embed = self.body.patch_embed
        x = embed.backbone.stem(x)
        maps = []
        for index, stage in enumerate(embed.backbone.stages):
            x = stage(x)
            if index in self.stages:
                maps.append(x)
        return maps, self.blocks(embed.proj(embed.backbone.norm(x)).permute(0, 2, 3, 1))

    def blocks(self, patches: torch.Tensor) -> list[torch.Tensor]:
        """Run the blocks on embedded patches, float (B, h, w, channels)."""
        x = self.body.norm_pre(self.body.pos_drop(self._embed(patches)))
        outputs = []
        for index, block in enumerate(self.body.blocks[:max(self.taps) + 1]):
            x = block(x)
            if index in self.taps:
                outputs.append(self.body.norm(x) if self.norm_taps else x)
        return outputs

    def _embed(self, patches: torch.Tensor) -> torch.Tensor:
        """Position embedding and prefix tokens, in timm's order."""
        body = self.body
        batch, height, width, _ = patches.shape
        positions = self.positions(height, width)
        prefix = [token.expand(batch, -1, -1) for token in (body.cls_token, body.reg_token)
                  if token is not None]
        x = patches.flatten(1, 2)
        if body.no_embed_class:
            return torch.cat([*prefix, x + positions], dim=1)
        return torch.cat([*prefix, x], dim=1) + positions

    def positions(self, height: int, width: int) -> torch.Tensor:
        """Position embeddings on a grid: float (1, [prefix tokens +] height * width, channels)."""
        embedding = self.body.pos_embed
        if (height, width) == self.grid:
            return embedding
        prefix = 0 if self.body.no_embed_class else self.prefix_tokens
        table = embedding[:, prefix:].transpose(1, 2).unflatten(2, self.grid)
        table = _resample(table, height, width, self.pos_interp)
        return torch.cat([embedding[:, :prefix], table.flatten(2).transpose(1, 2)], dim=1)

    def fold_for_inference(self, height: int, width: int) -> None:
        """Keep the position embeddings of one image size only, already interpolated; in place.

        The standardised weights of a hybrid's convolutions are computed once and for all, too.
        """
        grid = height // self.patch, width // self.patch
        with torch.no_grad():
            self.body.pos_embed = nn.Parameter(self.positions(*grid).clone())
            for parent in list(self.body.modules()):
                for name, child in list(parent.named_children()):
                    if isinstance(child, StdConv2dSame):
                        setattr(parent, name, _standardised(child))
        self.grid = grid


def _resample(table: torch.Tensor, height: int, width: int, rule: str) -> torch.Tensor:
    if rule == 'dinov2':
        factor = ((height + 0.1) / table.shape[-2], (width + 0.1) / table.shape[-1])
        return F.interpolate(table, scale_factor=factor, mode='bicubic')
    if rule == 'dpt_bilinear':
        return F.interpolate(table, size=(height, width), mode='bilinear')
    return F.interpolate(table, size=(height, width), mode='bicubic', antialias=rule == 'timm')


def _patch_of(body: nn.Module) -> int:
    """Pixels per token along one side; also of hybrids, whose patches come after a ResNet."""
    embed = body.patch_embed
    return embed.feat_ratio() if hasattr(embed, 'feat_ratio') else embed.patch_size[0]


def _stages_of(body: nn.Module) -> list[dict[str, Any]]:
    """Channels (``num_chs``) and stride (``reduction``) of the ResNet stages of a hybrid."""
    info = getattr(getattr(body.patch_embed, 'backbone', None), 'feature_info', ())
    return [stage for stage in info if stage['module'].startswith('stages.')]


def _standardised(conv: StdConv2dSame) -> nn.Conv2d:
    """The plain convolution that a weight-standardised one amounts to."""
    if conv.same_pad:
        plain = Conv2dSame(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride,
                           dilation=conv.dilation, groups=conv.groups, bias=False)
    else:
        plain = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride,
                          conv.padding, conv.dilation, conv.groups, bias=False)
    weight = conv.weight.flatten(1)
    mean = weight.mean(1, keepdim=True)
    variance = weight.var(1, keepdim=True, correction=0)
    plain.weight.copy_(((weight - mean) * torch.rsqrt(variance + conv.eps)).view_as(conv.weight))
    return plain

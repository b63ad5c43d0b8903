"""Plain vision transformers: ViT and DINOv2, with or without register tokens."""

from __future__ import annotations

import timm
import torch
import torch.nn.functional as F
from torch import nn

POS_INTERPS = ('dinov2', 'hf', 'timm', 'dpt_bilinear')


class TokenEncoder(nn.Module):
    """Blocks of a timm ViT as feature maps. See the package for the interface.

    ``tokens`` gives them as they are, with the prefix tokens (class, registers) in front.

    :param name: a timm vision transformer, e.g. ``vit_large_patch14_dinov2.lvd142m``.
    :param taps: blocks whose outputs are taken; below 0 counts from the end.
    :param norm_taps: pass the taps through the final normalisation (DINOv2's way; DPT does not).
    :param pos_interp: how position embeddings follow another grid than theirs: ``dinov2`` (bicubic
        by the factor (h + 0.1) / h0, as in DINOv2 and Depth Anything), ``hf`` (bicubic to the
        size), ``timm`` (bicubic, antialiased) or ``dpt_bilinear`` (bilinear, as in DPT).
    :raises ValueError: a tap or ``pos_interp`` that does not exist.
    Other parameters as in ``create_encoder``.
    """

    def __init__(self, name: str, taps: tuple[int, ...] = (-1,), in_chans: int = 3,
                 pretrained: bool = False, image_size: tuple[int, int] | None = None,
                 norm_taps: bool = True, pos_interp: str = 'dinov2', **options: object) -> None:
        super().__init__()
        if pos_interp not in POS_INTERPS:
            raise ValueError(f'pos_interp "{pos_interp}" is unknown; choose from '
                             f'{", ".join(POS_INTERPS)}')
        if image_size is not None:
            options = {**options, 'img_size': image_size}
        self.body = timm.create_model(name, pretrained=pretrained, num_classes=0,
                                      in_chans=in_chans, dynamic_img_size=True, **options)
        depth = len(self.body.blocks)
        wrong = [tap for tap in taps if not -depth <= tap < depth]
        if wrong:
            raise ValueError(f'encoder "{name}" has {depth} blocks, there is no tap {wrong}')
        self.taps = tuple(tap % depth for tap in taps)
        self.norm_taps, self.pos_interp = norm_taps, pos_interp
        self.prefix_tokens: int = self.body.num_prefix_tokens
        self.patch: int = _patch_of(self.body)
        self.grid: tuple[int, int] = tuple(self.body.patch_embed.grid_size)
        self.channels = [self.body.embed_dim] * len(self.taps)
        self.strides = [self.patch] * len(self.taps)
        self.multiple = self.patch

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Feature maps of the taps' patch tokens, in the order of the blocks."""
        height, width = (side // self.patch for side in x.shape[-2:])
        return [tokens[:, self.prefix_tokens:].transpose(1, 2).unflatten(2, (height, width))
                for tokens in self.tokens(x)]

    def tokens(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Outputs of the taps: float (B, prefix tokens + H W / patch², channels) each."""
        return self.blocks(self.body.patch_embed(x))

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
        """Keep the position embeddings of one image size only, already interpolated; in place."""
        grid = height // self.patch, width // self.patch
        with torch.no_grad():
            self.body.pos_embed = nn.Parameter(self.positions(*grid).clone())
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

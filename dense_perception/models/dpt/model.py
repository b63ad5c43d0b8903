"""DPT: a vision transformer, its tokens reassembled to maps, the maps fused coarse to fine."""

from __future__ import annotations

import torch
from torch import nn

from dense_perception.models.dpt.config import DPTConfig
from dense_perception.models.dpt.fusion import FeatureFusionBlock
from dense_perception.models.dpt.heads import DepthHead, SegmentationHead
from dense_perception.models.dpt.reassemble import FACTORS, Reassemble
from dense_perception.models.encoders import TokenEncoder, require_timm_model
from dense_perception.models.inputs import require_multiple


class DPT(nn.Module):
    """DPT for depth and segmentation, and Depth Anything V2, which is one of its configurations.

    Ranftl et al., "Vision Transformers for Dense Prediction" (2021); Yang et al., "Depth Anything
    V2" (2024).

    ``forward``: float (B, 3 + mount_channels, H, W), normalised; H and W multiples of
    ``config.multiple`` -> dict with ``depth`` (B, H, W), relative inverse depth or metres as
    configured, and ``logits`` (B, num_classes, H, W); in training with ``aux_head`` also
    ``aux_logits``, of the same shape, from the output of the penultimate fusion block as in the
    paper (section 4.2).

    >>> model = DPT(DPTConfig(image_size=(64, 64))).eval()
    >>> {k: tuple(v.shape) for k, v in model(torch.zeros(1, 3, 64, 96)).items()}
    {'depth': (1, 64, 96)}

    What nothing reads (``residual1`` of the coarsest fusion block, the encoder's final
    normalisation without ``norm_taps``) is frozen: it needs no gradient and DDP waits for none.

    :raises ValueError: a configuration or a timm name that does not exist.
    """

    def __init__(self, config: DPTConfig) -> None:
        super().__init__()
        self.config = config
        self.in_chans = 3 + config.mount_channels
        require_timm_model(config.encoder)
        self.encoder = TokenEncoder(
            config.encoder, config.taps, self.in_chans, config.pretrained, config.image_size,
            config.norm_taps, config.pos_interp, config.stages, **config.encoder_options)
        self._check_encoder()
        # A stage's map is taken as it is, a block's tokens are reassembled.
        self.reassemble = nn.ModuleList(
            nn.Identity() if level < len(config.stages) else
            Reassemble(dim, config.channels[level], FACTORS[level], config.readout,
                       self.encoder.prefix_tokens)
            for level, dim in enumerate(self.encoder.channels))
        self.reduce = nn.ModuleList(
            nn.Conv2d(channels, config.features, 3, padding=1, bias=False)
            for channels in config.channels)
        self.fusion = nn.ModuleList(
            FeatureFusionBlock(config.features, config.batch_norm) for _ in config.channels)
        self.fusion[-1].residual1.requires_grad_(False)
        self.depth_head = self.segmentation_head = self.aux_head = None
        if config.depth is not None:
            self.depth_head = DepthHead(config.features, config.depth, config.non_negative,
                                        config.scale, config.shift, config.max_depth)
        if config.num_classes:
            self.segmentation_head = SegmentationHead(config.features, config.num_classes)
            if config.aux_head:
                self.aux_head = SegmentationHead(config.features, config.num_classes)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """See the class.

        :raises ValueError: H or W is not such a multiple; the message proposes the next size.
        """
        require_multiple(x, self.config.multiple)
        size = tuple(x.shape[-2:])
        penultimate, last = self.fuse(self.levels(x))[-2:]
        outputs = {}
        if self.depth_head is not None:
            outputs['depth'] = self.depth_head(last, size)
        if self.segmentation_head is not None:
            outputs['logits'] = self.segmentation_head(last, size)
        if self.training and self.aux_head is not None:
            outputs['aux_logits'] = self.aux_head(penultimate, size)
        return outputs

    def levels(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Reassembled maps, finest first: float (B, features, f h, f w), h w the token grid.

        The factors f are 4, 2, 1 and 1/2.
        """
        grid = tuple(side // self.encoder.patch for side in x.shape[-2:])
        maps, taps = self.encoder.maps_and_tokens(x)
        blocks = self.reassemble[len(maps):]
        maps = maps + [block(tokens, grid) for block, tokens in zip(blocks, taps, strict=True)]
        return [reduce(level) for reduce, level in zip(self.reduce, maps, strict=True)]

    def fuse(self, levels: list[torch.Tensor]) -> list[torch.Tensor]:
        """Outputs of the fusion blocks, coarse to fine; the last has twice the finest size.

        Each block ends at the size of the next level, which is twice its own except for odd grids.
        """
        sizes = [tuple(2 * side for side in levels[0].shape[-2:])]
        sizes += [tuple(level.shape[-2:]) for level in levels[:-1]]
        outputs = [self.fusion[-1](levels[-1], None, sizes[-1])]
        for index in reversed(range(len(levels) - 1)):
            outputs.append(self.fusion[index](outputs[-1], levels[index], sizes[index]))
        return outputs

    def fold_for_inference(self, height: int, width: int) -> None:
        """Precompute what one input size and fixed weights allow; in place, for export.

        That is the position embeddings, the standardised weights of a hybrid, and the order of
        upsampling and projection in the fusion.
        """
        self.encoder.fold_for_inference(height, width)
        for block in self.fusion:
            block.project_first = True

    def _check_encoder(self) -> None:
        config, encoder = self.config, self.encoder
        if config.readout != 'ignore' and encoder.body.cls_token is None:
            raise ValueError(f'encoder "{config.encoder}" has no class token to {config.readout}; '
                             'set readout to "ignore"')
        if config.multiple % encoder.multiple:
            raise ValueError(f'multiple {config.multiple} must be a multiple of '
                             f'{encoder.multiple}, the patch size of "{config.encoder}"')
        count = len(config.stages)
        if list(config.channels[:count]) != encoder.channels[:count]:
            raise ValueError(f'channels {config.channels} must begin with those of the ResNet '
                             f'stages, {tuple(encoder.channels[:count])}: their maps are taken as '
                             'they are')

"""D3-Predictors that are small enough for tests of exporting, which costs by the layer."""

from __future__ import annotations

from typing import Any

from dense_perception.models.d3.config import TINY_DIT

SHALLOW: dict[str, Any] = {
    'tokens': 5,
    'denoiser': {'down_block_types': ('CrossAttnDownBlock2D', 'DownBlock2D'),
                 'up_block_types': ('UpBlock2D', 'CrossAttnUpBlock2D'),
                 'block_out_channels': (16, 32), 'layers_per_block': 1, 'norm_num_groups': 8,
                 'attention_head_dim': (1, 2), 'cross_attention_dim': 16},
    'vae': {'down_block_types': ('DownEncoderBlock2D',) * 2,
            'up_block_types': ('UpDecoderBlock2D',) * 2, 'block_out_channels': (8, 16),
            'layers_per_block': 1, 'norm_num_groups': 4}}
"""Options of a variant of d3: two levels instead of four, the same kinds of blocks."""

SHALLOW_DIT: dict[str, Any] = {
    'tokens': 5, 'denoiser': {**TINY_DIT, 'num_single_layers': 2},
    'vae': {**SHALLOW['vae'], 'latent_channels': 16}}
"""Options of the transformer variant: one block of two streams, two of one."""

ONE_LEVEL: dict[str, Any] = {
    'tokens': 5,
    'denoiser': {'down_block_types': ('CrossAttnDownBlock2D',),
                 'up_block_types': ('CrossAttnUpBlock2D',), 'block_out_channels': (16,),
                 'layers_per_block': 1, 'norm_num_groups': 8, 'attention_head_dim': 2,
                 'cross_attention_dim': 16},
    'vae': {'down_block_types': ('DownEncoderBlock2D',), 'up_block_types': ('UpDecoderBlock2D',),
            'block_out_channels': (8,), 'layers_per_block': 1, 'norm_num_groups': 4}}
"""Options of a variant of d3 that is exported in a few seconds."""

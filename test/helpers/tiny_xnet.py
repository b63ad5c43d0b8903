"""xNets of every encoder family, small enough for tests."""

from __future__ import annotations

from typing import Any

TINY = {'encoder': 'mobilenetv4_conv_small_050', 'decoder': 'convnext_atto'}

_SWIN = {'embed_dim': 24, 'depths': (1, 1, 1, 1), 'num_heads': (1, 1, 2, 2)}
_VIT = {'depth': 2}

ENCODERS: dict[str, dict[str, Any]] = {
    'convnext': {'encoder': 'convnext_atto'},
    'convnextv2': {'encoder': 'convnextv2_atto'},
    'swin': {'encoder': 'swin_tiny_patch4_window7_224', 'encoder_options': _SWIN},
    'swinv2': {'encoder': 'swinv2_tiny_window8_256', 'encoder_options': _SWIN},
    'dinov2': {'encoder': 'vit_small_patch14_dinov2', 'encoder_options': _VIT},
    'dinov2_registers': {'encoder': 'vit_small_patch14_reg4_dinov2', 'encoder_options': _VIT},
    'dinov2_interp': {'encoder': 'vit_small_patch14_dinov2', 'encoder_options': _VIT,
                      'align': 'interp'},
    'vit': {'encoder': 'vit_tiny_patch16_224', 'encoder_options': _VIT},
    'eva': {'encoder': 'eva02_tiny_patch14_224', 'encoder_options': _VIT},
    'mobilenet': {'encoder': 'mobilenetv4_conv_small_050'},
}
"""Family -> fields of XNetConfig."""

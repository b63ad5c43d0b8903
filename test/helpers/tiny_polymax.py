"""A PolyMaX small enough for tests."""

from __future__ import annotations

from typing import Any

TINY: dict[str, Any] = {
    'encoder': 'convnext_atto',
    'encoder_options': {'depths': (1, 1, 1, 1), 'dims': (16, 24, 32, 48)},
    'image_size': (64, 96), 'dims': (16, 16, 8, 4), 'blocks': (1, 2, 1, 1), 'attention_heads': 2,
    'width': 16, 'width_ffn': 32, 'query_heads': 2, 'embedding': 8}
"""Fields of PolyMaXConfig."""

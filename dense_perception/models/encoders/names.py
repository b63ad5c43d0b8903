"""What timm knows by name, asked without building a model."""

from __future__ import annotations

import difflib

import timm


def require_timm_model(name: str) -> None:
    """:raises ValueError: timm has no model of this name; the message lists similar ones."""
    known = timm.list_models()
    architecture = name.split('.')[0]
    if architecture not in known and not timm.is_model(architecture):
        near = difflib.get_close_matches(architecture, known, n=5, cutoff=0.4)
        raise ValueError(f'timm has no model "{name}"; similar: {", ".join(near) or "none"}')


def is_tokens(name: str) -> bool:
    """True if the model keeps one token grid from its first block to its last, as a ViT does."""
    module = timm.model_entrypoint(name.split('.')[0]).__module__
    return module.rsplit('.', 1)[-1] in ('vision_transformer', 'vision_transformer_hybrid')


def has_tables(name: str) -> bool:
    """True if the model has position tables made for one image size."""
    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    return bool(config and config.fixed_input_size)

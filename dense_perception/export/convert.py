"""Public weights into our models and cards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dense_perception.export.cards import card_for
from dense_perception.export.checkpoint_files import Source, read_source, read_state
from dense_perception.export.preprocessing import card_fields, classes_of
from dense_perception.export.prompts import embedded_text
from dense_perception.inference.card import ModelCard
from dense_perception.models import create_model, model_entry
from dense_perception.models.checkpoints import (
    CheckpointError,
    Layout,
    Report,
    d3,
    detect,
    load_converted,
    to_ours,
)
from dense_perception.models.checkpoints.timm_weights import PARTS, load_timm
from dense_perception.models.d3 import CONFIGS, PROMPTS, D3Config

TIMM = 'timm'
"""Stands for timm's own published weights where a file of timm's could be given."""


@dataclass(frozen=True)
class Converted:
    """A model with public weights in it.

    ``kind``: the layout they came in. ``report``: what fitted and what did not; a model with
    missing keys is not complete. ``card``: at the variant's or the checkpoint's own size.
    """

    model: nn.Module
    card: ModelCard
    kind: str
    report: Report


def convert(source: str, variant: str | None = None, base: str | None = None,
            **fields: Any) -> Converted:
    """Convert a public checkpoint.

    :param source: a file, a Hugging Face folder or a name on the hub, see ``read_source``.
    :param variant: what the checkpoint is, where its keys, shapes and name do not tell.
    :param base: for a U-Net alone, the Stable Diffusion whose autoencoder and text it goes with;
        like ``source``.
    :param fields: of the card, in place of what is known of the checkpoint.
    :raises CheckpointError: it cannot be read, is of no known layout, or does not fit.
    :raises ValueError: there is no such variant, or a field is wrong.
    """
    if variant is not None:
        model_entry(variant)
    found = read_source(source)
    below = read_source(base) if base is not None else None
    if below is not None:
        found = replace(found, config={**below.config, **found.config},
                        licence=found.licence or below.licence)
    layout = _layout(found, variant)
    state = to_ours(found.state, layout)
    if layout.kind in d3.KINDS:
        state = _completed(state, found, below, layout)
    elif below is not None:
        raise CheckpointError(f'a checkpoint of {layout.kind} is complete and has no use for a '
                              'base')
    model = create_model(layout.variant, **layout.overrides)
    report = load_converted(model, state)
    return Converted(model, _card(found, layout, fields), layout.kind, report)


def _completed(state: dict[str, torch.Tensor], found: Source, below: Source | None,
               layout: Layout) -> dict[str, torch.Tensor]:
    """A D3-Predictor's weights with those of the Stable Diffusion below, and its text."""
    folder = found.folder if layout.kind not in d3.WITHOUT_VAE else None
    if below is not None:
        folder = below.folder
        state = to_ours(below.state, _layout(below, layout.variant)) | state
    if folder is None:
        raise CheckpointError(f'a checkpoint of {layout.kind} goes with the autoencoder and the '
                              'text encoder of a Stable Diffusion 2.1: give a folder of it, or '
                              'its name on the hub, as base (--base)')
    config: D3Config = CONFIGS[layout.variant]
    return {'timestep': torch.tensor(config.timestep),
            'context': embedded_text(folder, PROMPTS[config.output]), **state}


def assemble(variant: str, weights: Mapping[str, str], **fields: Any) -> Converted:
    """A model whose encoder and decoder have timm's weights, and the rest none yet.

    :param weights: ``encoder`` and/or ``decoder`` -> file of timm's, or :data:`TIMM`.
    :raises CheckpointError, ValueError: as :func:`convert`.
    """
    if unknown := sorted(set(weights) - set(PARTS)):
        raise ValueError(f'unknown parts {unknown}; there are {", ".join(PARTS)}')
    model = create_model(variant)
    missing, unexpected = [], []
    for part, source in weights.items():
        state = None if source == TIMM else read_state(Path(source))
        report = load_timm(model, part, state)
        missing += [f'{part}.{key}' for key in report.missing]
        unexpected += [f'{part}.{key}' for key in report.unexpected]
    said = ', '.join(f'{part} {Path(source).name}' for part, source in weights.items())
    card = card_for(variant, **{'training_data': f'none yet; started from {said}', 'licence': '',
                                **fields})
    return Converted(model, card, 'timm', Report(tuple(missing), tuple(unexpected)))


def _layout(source: Source, variant: str | None) -> Layout:
    layout = detect(source.state, source.config, source.name)
    if variant is None or variant == layout.variant:
        return layout
    if model_entry(variant).system != model_entry(layout.variant).system:
        raise CheckpointError(f'the checkpoint is a "{layout.variant}" ({layout.kind}), which '
                              f'does not fit "{variant}"')
    # Shapes decide between sizes: a wrong one ends in load_converted, with the shapes.
    return replace(layout, variant=variant)


def _card(source: Source, layout: Layout, fields: Mapping[str, Any]) -> ModelCard:
    entry = model_entry(layout.variant)
    known: dict[str, Any] = {
        'training_data': f'public checkpoint {source.name}',
        'licence': source.licence or entry.licence,
        **card_fields(source.preprocessor, entry.input), **fields}
    card = card_for(layout.variant, layout.overrides, **known)
    if card.classes:
        card = replace(card, classes=classes_of(source.config, len(card.classes)))
    return card

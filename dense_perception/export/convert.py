"""Public weights into our models and cards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from dense_perception.export.cards import card_for
from dense_perception.export.checkpoint_files import Source, read_source, read_state
from dense_perception.export.preprocessing import card_fields, classes_of
from dense_perception.inference.card import ModelCard
from dense_perception.models import create_model, model_entry
from dense_perception.models.checkpoints import (
    CheckpointError,
    Layout,
    Report,
    detect,
    load_converted,
    to_ours,
)
from dense_perception.models.checkpoints.timm_weights import PARTS, load_timm

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


def convert(source: str, variant: str | None = None, **fields: Any) -> Converted:
    """Convert a public checkpoint.

    :param source: a file, a Hugging Face folder or a name on the hub, see ``read_source``.
    :param variant: what the checkpoint is, where its keys, shapes and name do not tell.
    :param fields: of the card, in place of what is known of the checkpoint.
    :raises CheckpointError: it cannot be read, is of no known layout, or does not fit.
    :raises ValueError: there is no such variant, or a field is wrong.
    """
    if variant is not None:
        model_entry(variant)
    found = read_source(source)
    layout = _layout(found, variant)
    model = create_model(layout.variant, **layout.overrides)
    report = load_converted(model, to_ours(found.state, layout))
    return Converted(model, _card(found, layout, fields), layout.kind, report)


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

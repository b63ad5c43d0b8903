"""Weights on disk: a folder with ``weights.safetensors`` and ``card.json``."""

from __future__ import annotations

import os
from pathlib import Path

from safetensors.torch import save_file
from torch import nn

from dense_perception.export.checkpoint_files import read_state
from dense_perception.inference.card import ModelCard
from dense_perception.models import create_model
from dense_perception.models.checkpoints import load_converted

WEIGHTS, CARD = 'weights.safetensors', 'card.json'


class WeightsError(ValueError):
    """A weights folder that cannot be used; the message says what is missing or does not fit."""


def save_weights(model: nn.Module, card: ModelCard | None, folder: Path) -> None:
    """Write weights and card; each file is replaced whole, once both could be written.

    :param card: None for what has none: classifiers and detectors.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    names = (WEIGHTS,) if card is None else (WEIGHTS, CARD)
    partials = {name: folder / f'{name}.partial' for name in names}
    try:
        save_file(state, partials[WEIGHTS])
        if card is not None:
            partials[CARD].write_text(card.to_json())
        for name, partial in partials.items():
            os.replace(partial, folder / name)
    finally:
        for partial in partials.values():
            partial.unlink(missing_ok=True)


def load_weights(folder: Path) -> tuple[nn.Module, ModelCard]:
    """Build the card's variant and load its weights.

    :raises WeightsError: a file is missing or incomplete, the card is invalid, or the weights do
        not fit it.
    """
    for name in (WEIGHTS, CARD):
        if not (folder / name).is_file():
            raise WeightsError(f'{folder} has no {name}; a training run writes it '
                               '(dense-perception-train), and so does "dense-perception convert"')
    try:
        card = ModelCard.from_json((folder / CARD).read_text())
        model = create_model(card.variant, **card.options)
        report = load_converted(model, read_state(folder / WEIGHTS))
    except (TypeError, ValueError) as error:  # CardError and CheckpointError among them
        raise WeightsError(f'{folder}: {error}') from None
    if wrong := report.missing + report.unexpected:
        raise WeightsError(f'{folder}: the weights are not those of {card.variant}, '
                           f'{len(report.missing)} are missing and {len(report.unexpected)} have '
                           f'no place in it, such as "{wrong[0]}"')
    return model, card

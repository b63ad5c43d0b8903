"""Weights on disk: a folder with ``weights.safetensors`` and ``card.json``."""

from __future__ import annotations

import os
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import nn

from dense_perception.inference.card import CardError, ModelCard
from dense_perception.models import create_model

WEIGHTS, CARD = 'weights.safetensors', 'card.json'


class WeightsError(ValueError):
    """A weights folder that cannot be used; the message says what is missing or does not fit."""


def save_weights(model: nn.Module, card: ModelCard, folder: Path) -> None:
    """Write weights and card; each file is replaced whole, once both could be written."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    partials = {name: folder / f'{name}.partial' for name in (WEIGHTS, CARD)}
    try:
        save_file(state, partials[WEIGHTS])
        partials[CARD].write_text(card.to_json())
        for name, partial in partials.items():
            os.replace(partial, folder / name)
    finally:
        for partial in partials.values():
            partial.unlink(missing_ok=True)


def load_weights(folder: Path) -> tuple[nn.Module, ModelCard]:
    """Build the card's variant and load its weights.

    :raises WeightsError: a file is missing, the card is invalid, or the weights do not fit it.
    """
    for name in (WEIGHTS, CARD):
        if not (folder / name).is_file():
            raise WeightsError(f'{folder} has no {name}; a training run writes it, '
                               'see "dense-perception-train --help"')
    try:
        card = ModelCard.from_json((folder / CARD).read_text())
        model = create_model(card.variant, **card.options)
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (CardError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(f'{folder}: {error}') from None
    return model, card

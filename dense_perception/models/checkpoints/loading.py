"""State dicts into models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from dense_perception.models.checkpoints.keys import CheckpointError, State

_WRAPPERS = ('model', 'state_dict')
_PARALLEL = 'module.'


@dataclass(frozen=True)
class Report:
    """Keys of the model that the state dict lacks, and keys of the state dict without use."""

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]


def unwrap(loaded: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The state dict in what a checkpoint file holds.

    It may lie beside an optimiser's state under ``model`` or ``state_dict``, and its keys may
    begin with the ``module.`` of distributed training.

    :raises CheckpointError: there is none.
    """
    for key in _WRAPPERS:
        if isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
            break
    if not loaded or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise CheckpointError('the file holds no state dict: a mapping of names to tensors, '
                              f'either as it is or under {" or ".join(_WRAPPERS)}')
    if all(key.startswith(_PARALLEL) for key in loaded):
        return {key.removeprefix(_PARALLEL): value for key, value in loaded.items()}
    return dict(loaded)


def load_converted(model: nn.Module, state: State) -> Report:
    """Load a state dict in our names; the model's own values stay where it has none.

    :raises CheckpointError: a tensor has another shape than the model's; nothing is loaded then.
    """
    own = model.state_dict()
    wrong = [f'"{key}" is {tuple(tensor.shape)} in the checkpoint and {tuple(own[key].shape)} in '
             f'the model' for key, tensor in state.items()
             if key in own and tensor.shape != own[key].shape]
    if wrong:
        more = f', and {len(wrong) - 3} more' if len(wrong) > 3 else ''
        raise CheckpointError(f'the checkpoint does not fit the model: {"; ".join(wrong[:3])}'
                              f'{more}; build the variant and overrides that "detect" names')
    result = model.load_state_dict(dict(state), strict=False)
    return Report(tuple(result.missing_keys), tuple(result.unexpected_keys))

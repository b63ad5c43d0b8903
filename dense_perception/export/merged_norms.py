"""Batch norms that an export merges into convolutions, kept beside the graph.

The exporter leaves of a convolution and its batch norm one convolution. That is all inference
needs, but training needs both: what a norm divides by, and how large the weights before it were.
"""

from __future__ import annotations

import base64
import binascii

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from dense_perception.models.complexity import input_channels

NORMS_KEY = 'dense_perception.norms'
"""Metadata property of a model file: base64 of safetensors."""

_KEPT = ('weight', 'bias', 'running_mean', 'running_var')

State = dict[str, torch.Tensor]


def norms_after(model: nn.Module, size: tuple[int, int]) -> dict[str, str]:
    """Batch norm -> the convolution whose output it reads, by name.

    :param size: (height, width) of an image that the model takes.
    """
    maker: dict[int, str] = {}
    found: dict[str, str] = {}
    kept = []  # tensors of one pass, so that no address is used twice

    def note_output(name: str, output: torch.Tensor) -> None:
        maker[id(output)] = name
        kept.append(output)

    def note_input(name: str, value: torch.Tensor) -> None:
        if id(value) in maker:
            found[name] = maker[id(value)]

    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(
                lambda _, __, output, name=name: note_output(name, output)))
        elif isinstance(module, nn.BatchNorm2d):
            hooks.append(module.register_forward_pre_hook(
                lambda _, inputs, name=name: note_input(name, inputs[0])))
    if any(isinstance(m, nn.BatchNorm2d) for m in model.modules()):
        with torch.no_grad():
            model(torch.zeros(1, input_channels(model), *size))
    for hook in hooks:
        hook.remove()
    return found


def packed(model: nn.Module, size: tuple[int, int]) -> str | None:
    """Value of :data:`NORMS_KEY` for a model in evaluation mode; None without such norms."""
    state = model.state_dict()
    kept = {f'{norm}.{role}': state[f'{norm}.{role}'].float().contiguous()
            for norm in norms_after(model, size) for role in _KEPT}
    return base64.b64encode(save(kept)).decode() if kept else None


def unpacked(text: str) -> State:
    """State of the norms of such a value.

    :raises ValueError: it is damaged.
    """
    try:
        return load(base64.b64decode(text, validate=True))
    except (binascii.Error, SafetensorError) as error:
        raise ValueError(f'{NORMS_KEY} is damaged: {error}') from None


def separate(state: State, norm: str, conv: str, merged_bias: torch.Tensor, eps: float) -> None:
    """Take a norm out of the convolution before it; in place.

    :param state: of the model, with the norm's own values and the merged weights.
    :param merged_bias: what the norm left in the convolution.
    """
    gain, bias, mean, variance = (state[f'{norm}.{role}'] for role in _KEPT)
    factor = gain / (variance + eps).sqrt()
    # A norm that multiplies by nothing leaves nothing of the weights before it.
    inverse = torch.where(factor == 0, 1.0, 1 / factor)
    state[f'{conv}.weight'] = state[f'{conv}.weight'] * inverse.view(-1, 1, 1, 1)
    if f'{conv}.bias' in state:
        state[f'{conv}.bias'] = (merged_bias - bias) * inverse + mean

"""What a model costs: parameters and multiply-adds, counted without weights or computing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dense_perception.models.registry import create_model


@dataclass(frozen=True)
class Complexity:
    """Costs of one image of ``height`` x ``width``.

    ``params``: numbers in the model as it is registered, without the encoder's classification
    head; DPT's auxiliary segmentation head belongs to its checkpoints and counts. ``macs``:
    multiply-adds of matrix products, convolutions and attention, which papers call FLOPs;
    normalisations, activations, resizing and the position embedding's interpolation are not
    counted. ``attention_macs``: those of them that multiply activations with each other; some
    published counts leave them out, as torch's counter does for a ViT on a CPU. ``outputs``:
    shapes by name.
    """

    params: int
    macs: int
    attention_macs: int
    height: int
    width: int
    outputs: dict[str, tuple[int, ...]]


def meta_model(name: str, **options: object) -> nn.Module:
    """A registered model without storage: shapes only, built in a fraction of a second.

    :raises ValueError: as ``create_model``.
    """
    with torch.device('meta'):
        return create_model(name, **{**options, 'pretrained': False}).eval()


def complexity(model: nn.Module, height: int, width: int) -> Complexity:
    """Parameters, multiply-adds and output shapes of a model for one image.

    :param model: from :func:`meta_model`; any other works too, but then it computes. Where its
        work depends on what it sees, as a detector's does, it has a ``raw`` that runs every layer.
    """
    weight = next(model.parameters())
    image = torch.zeros(1, input_channels(model), height, width, device=weight.device,
                        dtype=weight.dtype)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        outputs = getattr(model, 'raw', model)(image)
    # Without storage, attention is taken apart into batched products; nothing else uses them.
    products = counter.get_flop_counts()['Global'].get(torch.ops.aten.bmm, 0)
    return Complexity(
        sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2, products // 2,
        height, width,
        {name: tuple(value.shape) for name, value in outputs.items()})


def input_channels(model: nn.Module) -> int:
    """Channels of a model's input: RGB and the mount channels."""
    return getattr(model, 'in_chans', 3)

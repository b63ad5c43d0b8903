"""Optimisers with per-layer learning rates, and the learning-rate curve."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence

import torch
from timm.optim.muon import Muon
from torch import nn

from dense_perception_training.recipe import Optimiser, Recipe

# Blocks as timm's backbones name them: stages_0.blocks.1, layers_2.blocks.0, blocks.11, blocks.2.0
_BLOCK = re.compile(r'^body\.((?:(?:stages|layers|blocks)[._]\d+(?:\.\d+)?\.?)+)')


def make_optimiser(model: nn.Module, options: Optimiser,
                   *losses: nn.Module) -> torch.optim.Optimizer:
    """An optimiser whose groups carry ``factor``, their share of the learning rate.

    :param losses: those that learn along with the model, at the full rate.

    Weight decay is for matrices and kernels; norms, biases and other vectors have none, and
    neither have position tables. Muon leaves these to AdamW, as it does depthwise kernels.
    """
    groups = [{'params': parameters, 'lr': 0.0, 'factor': factor, 'use_fallback': not decays,
               'weight_decay': options.weight_decay if decays else 0.0}
              for (factor, decays), parameters in _grouped(model, options, losses).items()]
    if options.kind == 'sgd':
        return torch.optim.SGD(groups, lr=0.0, momentum=options.momentum)
    if options.kind == 'adam':
        return torch.optim.Adam(groups, lr=0.0, betas=options.betas, fused=True)
    if options.kind == 'muon':
        return Muon(groups, lr=0.0, betas=options.betas, momentum=options.momentum, nesterov=True,
                    fallback_lr_scale=options.vector_factor)
    return torch.optim.AdamW(groups, lr=0.0, betas=options.betas, fused=True)


def _grouped(model: nn.Module, options: Optimiser, losses: Sequence[nn.Module],
             ) -> dict[tuple[float, bool], list[nn.Parameter]]:
    encoder = getattr(model, 'encoder', None)
    layers = encoder_layers(encoder) if isinstance(encoder, nn.Module) else {}
    # A detector's lies deeper than at the top.
    path = next((f'{name}.' for name, module in model.named_modules() if module is encoder), '')
    depth = max(layers.values(), default=0)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    named = itertools.chain(model.named_parameters(),
                            *(loss.named_parameters('loss') for loss in losses))
    for name, parameter in named:
        if not parameter.requires_grad:
            continue
        factor = 1.0
        if path and name.startswith(path):
            below = depth - layers[name.removeprefix(path)]
            factor = options.encoder_factor * options.layer_decay ** below
        decays = parameter.ndim > 1 and not _is_table(name)
        groups.setdefault((factor, decays), []).append(parameter)
    return groups


def _is_table(name: str) -> bool:
    return any(part in name for part in ('pos_embed', 'relative_position_bias_table', 'cls_token',
                                         'reg_token'))


def encoder_layers(encoder: nn.Module) -> dict[str, int]:
    """Parameter name -> depth: 0 for the stem, then one more for each block, in their order.

    What belongs to no block takes the depth of what comes before it.
    """
    depth, blocks = 0, []
    result = {}
    for name, _ in _in_order(encoder):
        match = _BLOCK.match(name)
        if match and match[1].rstrip('.') not in blocks:
            blocks.append(match[1].rstrip('.'))
            depth = len(blocks)
        result[name] = depth
    return result


def _in_order(encoder: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Parameters in the order of the forward pass: modules first, then tables of the whole."""
    named = list(encoder.named_parameters())
    tables = [(n, p) for n, p in named if n.count('.') == 1]  # body.pos_embed, body.cls_token
    yield from tables
    yield from ((n, p) for n, p in named if n.count('.') > 1)


def learning_rate(recipe: Recipe, step: int) -> float:
    """The rate of a step: each stage's decay, under one warm-up of the whole run."""
    index, within = recipe.stage_at(step)
    stage = recipe.stages[index]
    progress = within / stage.steps
    share = {'cosine': 0.5 * (1 + math.cos(math.pi * progress)),
             'poly': (1 - progress) ** stage.power, 'constant': 1.0}[stage.decay]
    rate = stage.lr_end + (stage.lr - stage.lr_end) * share
    warm = min(1.0, (step + 1) / max(recipe.warmup_steps, 1))
    return rate * (recipe.warmup_from + (1 - recipe.warmup_from) * warm)


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its share of the rate."""
    for group in optimiser.param_groups:
        group['lr'] = rate * group['factor']

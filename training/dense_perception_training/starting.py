"""What a run starts from: the model, its losses and the machinery it runs on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning_fabric import Fabric
from lightning_fabric.strategies import FSDPStrategy
from torch import nn

from dense_perception.export.reopen import open_weights
from dense_perception.models import create_model
from dense_perception.models.growing import begin_as_identity
from dense_perception_training import cpu
from dense_perception_training.feeding import class_weights
from dense_perception_training.recipe import KEPT, Recipe, RecipeError


def start_model(recipe: Recipe) -> nn.Module:
    """A new model, or one that begins with ``model.weights``; parts these lack begin anew.

    Whole ConvNeXt blocks that they lack begin as the identity (``models.growing``).

    :raises RecipeError: the name, an option or the weights do not fit.
    """
    choice = recipe.model
    try:
        model = create_model(choice.name, **choice.options)
    except (TypeError, ValueError) as error:
        raise RecipeError(f'model: {error}') from None
    if choice.weights is not None:
        start, _ = open_weights(choice.weights)
        try:
            missing, unknown = model.load_state_dict(start.state_dict(), strict=False)
        except RuntimeError as error:
            raise RecipeError(f'model.weights {choice.weights} does not fit {choice.name}: '
                              f'{error}') from None
        if unknown:
            raise RecipeError(f'model.weights {choice.weights} has what {choice.name} has not: '
                              f'{", ".join(unknown[:3])}'
                              + (f' and {len(unknown) - 3} more' if len(unknown) > 3 else ''))
        grown = begin_as_identity(model, missing)
        anew = [key for key in missing if not key.startswith(tuple(f'{name}.' for name in grown))]
        for begun, names in (('as the identity', grown), ('anew', anew)):
            if names:
                print(f'not in {choice.weights}, begun {begun}: {", ".join(names)}')
        _warn_of_same_samples(recipe, Path(choice.weights))
    return model


def _warn_of_same_samples(recipe: Recipe, weights: Path) -> None:
    try:
        kept = yaml.safe_load((weights / KEPT).read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return  # weights that no run of ours made; a note must not stop this one
    if isinstance(kept, dict) and kept.get('seed') == recipe.seed:
        print(f'{weights} was trained with seed {recipe.seed}, too: samples are drawn by seed and '
              'step, so of the same data this run begins with the same samples, cropped and '
              'mirrored alike; set another seed')


def balanced_losses(recipe: Recipe, classes: int) -> list[dict[str, Any]]:
    """The recipe's losses, with the class weights that ``balance`` asks for."""
    losses = []
    for entry in recipe.losses:
        power = entry.get('balance')
        plain = {k: v for k, v in entry.items() if k != 'balance'}
        losses.append(plain if power is None else
                      {**plain, 'weights': class_weights(recipe, classes, float(power))})
    return losses


def check_learned(losses: Iterable[str], recipe: Recipe, fabric: Fabric) -> None:
    """Refuse losses with weights of their own where these would not be trained.

    :raises RecipeError: the objective is ``mgda``, or the weights are sharded.
    """
    if recipe.objective == 'mgda' or isinstance(fabric.strategy, FSDPStrategy):
        raise RecipeError(f'loss {", ".join(losses)} has weights that learn along: it needs '
                          'objective=sum, and cannot be sharded')


def learned_state(loss: nn.Module) -> dict[str, torch.Tensor]:
    """What of a loss goes into a checkpoint: what learns, and buffers. The rest was frozen."""
    frozen = {name for name, parameter in loss.named_parameters() if not parameter.requires_grad}
    return {name: value for name, value in loss.state_dict().items() if name not in frozen}


def commit_of_checkout() -> str:
    """The checkout's commit, or nothing where the package is not run from one."""
    result = subprocess.run(['git', 'rev-parse', '--short=12', 'HEAD'], capture_output=True,
                            text=True, cwd=Path(__file__).parent, check=False)
    return result.stdout.strip()


def make_fabric(device: str, devices: int, nodes: int, recipe: Recipe, sharded: bool) -> Fabric:
    """The machinery: one process without torchrun and ``devices`` 1, else DDP, or FSDP.

    :raises RecipeError: sharded training with what would need whole weights: a moving average,
        mgda or Muon.
    """
    if sharded and (recipe.ema_decay or recipe.objective == 'mgda'
                    or recipe.optimiser.kind == 'muon'):
        raise RecipeError('sharded training keeps no whole weights: set ema_decay=0, '
                          'objective=sum and an optimiser.kind other than muon')
    strategy: Any = 'auto'
    if sharded:
        strategy = FSDPStrategy(state_dict_type='full')
    elif devices * nodes > 1 or 'LOCAL_WORLD_SIZE' in os.environ:
        strategy = 'ddp'
    precision: Any = cpu.precision_for(recipe.precision) if device == 'cpu' else recipe.precision
    return Fabric(accelerator=device, devices=devices, num_nodes=nodes, strategy=strategy,
                  precision=precision)

"""``dense-perception-average``: the mean of the weights of several runs, as a run of its own.

Runs that begin with each other's weights end in one basin: their mean is as good as the best of
them on data like the training's, and better on other data (Wortsman et al., Model soups, ICML
2022; Cha et al., SWAD, NeurIPS 2021).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from torch.optim.swa_utils import update_bn
from tqdm import tqdm

from dense_perception.export.reopen import open_weights
from dense_perception.export.weights import WeightsError, save_weights
from dense_perception.models import model_entry
from dense_perception.models.complexity import input_channels
from dense_perception_training.datasets import DatasetError
from dense_perception_training.feeding import network_input, open_batches
from dense_perception_training.recipe import KEPT, Recipe, RecipeError
from dense_perception_training.transforms import TransformError


def average(runs: Sequence[tuple[Path, float]], out: Path, batches: int = 0,
            overrides: Sequence[str] = ()) -> None:
    """Write the weighted mean of runs of one model, with the card of the first.

    :param runs: folders of weights or model files, with a weight each.
    :param batches: what the batch norms' statistics are measured on anew: the mean of statistics
        is not the statistics of the mean. Batches of the first run's recipe at its last stage; 0
        keeps the mean.
    :param overrides: ``key=value``, what of that recipe is otherwise for these batches.
    :raises WeightsError: a run has no weights, or they are another model's.
    :raises ValueError: no run, or weights that are not positive.
    :raises RecipeError: there is no recipe to draw batches by.
    """
    if not runs:
        raise ValueError('no run to take the mean of')
    if wrong := [f'{run}={weight:g}' for run, weight in runs if not 0 < weight < math.inf]:
        raise ValueError(f'weights have to be positive numbers, not {", ".join(wrong)}')
    model, card = open_weights(runs[0][0])
    total = sum(weight for _, weight in runs)
    mean = {k: v.double() * (runs[0][1] / total) for k, v in model.state_dict().items()}
    for run, weight in runs[1:]:
        other, its_card = open_weights(run)
        if (its_card.variant, its_card.options) != (card.variant, card.options):
            raise WeightsError(f'{run} is {its_card.variant} {its_card.options}, {runs[0][0]} '
                               f'{card.variant} {card.options}: only weights of one model have a '
                               'mean')
        for key, value in other.state_dict().items():
            mean[key] += value.double() * (weight / total)
    model.load_state_dict({k: mean[k].to(v.dtype) for k, v in model.state_dict().items()})
    if batches:
        measure_norms(model, Recipe.load(runs[0][0] / KEPT, overrides), batches)
    save_weights(model, replace(card, metrics={}), out)


def measure_norms(model: nn.Module, recipe: Recipe, batches: int) -> None:
    """Measure the statistics of a model's batch norms on batches of a recipe's last stage."""
    stage = recipe.stages[-1]
    data = open_batches(recipe, stage, stage.batch, (recipe.seed, 0))
    spec, channels = model_entry(recipe.model.name).input, input_channels(model)

    def inputs() -> Iterator[torch.Tensor]:
        for step in tqdm(range(batches), unit='batch', desc='batch norms'):
            yield network_input(data[step], spec, channels)

    update_bn(inputs(), model)
    model.eval()


def _run(text: str) -> tuple[Path, float]:
    """``FOLDER`` or ``FOLDER=WEIGHT``."""
    folder, equals, weight = text.rpartition('=')
    try:
        return (Path(folder), float(weight)) if equals else (Path(text), 1.0)
    except ValueError:
        raise argparse.ArgumentTypeError(f'"{weight}" in "{text}" is no weight; write a folder, '
                                         'or FOLDER=NUMBER') from None


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``dense-perception-average``."""
    parser = argparse.ArgumentParser(prog='dense-perception-average', description=__doc__)
    parser.add_argument('runs', nargs='+', type=_run, metavar='RUN[=WEIGHT]',
                        help='training runs, or model files, of one model')
    parser.add_argument('--out', type=Path, required=True, help='folder for weights and card')
    parser.add_argument('--batches', type=int, default=0, metavar='N',
                        help="measure the batch norms anew on so many batches of the first run's "
                             'recipe (default: take their mean, too)')
    parser.add_argument('--set', action='append', default=[], metavar='KEY=VALUE',
                        dest='overrides',
                        help='change that recipe for these batches, for example transforms=[]')
    args = parser.parse_args(arguments)
    if args.overrides and not args.batches:
        parser.error('--set changes the recipe that --batches are drawn by: give --batches, too')
    try:
        average(args.runs, args.out, args.batches, args.overrides)
    except (DatasetError, OSError, RecipeError, TransformError, ValueError) as error:
        raise SystemExit(f'dense-perception-average: {error}') from None


if __name__ == '__main__':
    main()

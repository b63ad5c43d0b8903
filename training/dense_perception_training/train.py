"""``dense-perception-train``: train a model by a recipe; killed at any moment, it resumes.

One process is enough for a CPU or a GPU. Several GPUs: ``--devices 8``; several machines, or
several processes on the cores of one: ``torchrun ... -m dense_perception_training.train ...``.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from omegaconf import OmegaConf

from dense_perception.export.weights import WeightsError
from dense_perception.inference.model_file import ModelFileError
from dense_perception.models import model_entry
from dense_perception_training.budget import within
from dense_perception_training.classifying import ClassifierTrainer
from dense_perception_training.datasets import DatasetError
from dense_perception_training.detecting import DetectorTrainer
from dense_perception_training.engine import NotANumberError, Trainer
from dense_perception_training.loading import measure_loading
from dense_perception_training.losses import LossError
from dense_perception_training.recipe import KEPT, Recipe, RecipeError, find_recipe
from dense_perception_training.runlog import draw_curves
from dense_perception_training.starting import make_fabric
from dense_perception_training.transforms import TransformError

_TRAINERS: dict[str, type[Trainer]] = {'classification': ClassifierTrainer,
                                       'detection': DetectorTrainer}
_MAY_CHANGE = ('save_every', 'validate_every', 'validation', 'validation_frames')


def keep_recipe(recipe: Recipe, run: Path) -> None:
    """Write the recipe into its run folder; a folder that holds another recipe is refused.

    :raises RecipeError: the run was begun with another recipe; the message names what differs.
    """
    run.mkdir(parents=True, exist_ok=True)
    now = _plain(recipe)
    path = run / KEPT
    if path.exists() and (run / 'checkpoint.pt').exists():
        before = _plain(Recipe.load(path))  # with what was not yet a key when it was begun
        different = sorted(k for k in {*now, *before}
                           if k not in _MAY_CHANGE and now.get(k) != before.get(k))
        if different:
            raise RecipeError(f'{run} was begun with another recipe: {", ".join(different)} '
                              'differ; choose another --out, or use its own recipe '
                              f'({path})')
    partial = path.with_suffix('.partial')
    partial.write_text(yaml.safe_dump(now, sort_keys=False))
    partial.replace(path)


def _plain(recipe: Recipe) -> dict[str, Any]:
    return yaml.safe_load(OmegaConf.to_yaml(OmegaConf.structured(recipe)))


def train(recipe: Recipe, run: Path, device: str, devices: int = 1, nodes: int = 1,
          sharded: bool = False, minutes: float | None = None) -> None:
    """Train to the end of the recipe, or go on where an earlier call was stopped.

    :param minutes: what the run is to take on this machine, instead of the recipe's steps.
    """
    fabric = make_fabric(device, devices, nodes, recipe, sharded)
    fabric.launch()
    if minutes is not None:
        recipe = within(minutes, recipe, run, fabric, trainer_class(recipe))
    if fabric.is_global_zero:
        keep_recipe(recipe, run)
    fabric.barrier()
    trainer = trainer_class(recipe)(recipe, run, fabric)
    try:
        trainer.fit()
    finally:
        if trainer.log is not None:
            trainer.log.close()
            draw_curves(run)


def trainer_class(recipe: Recipe) -> type[Trainer]:
    """The trainer of the model's task.

    :raises RecipeError: there is no such model, or the recipe says how to train another task.
    """
    try:
        tasks = model_entry(recipe.model.name).tasks
    except ValueError as error:
        raise RecipeError(f'model: {error}') from None
    for task in _TRAINERS:
        if getattr(recipe, task) is not None and task not in tasks:
            raise RecipeError(f'"{task}" is for models of that task; "{recipe.model.name}" is for '
                              f'{" and ".join(tasks)}')
    return next((kind for task, kind in _TRAINERS.items() if task in tasks), Trainer)


def _minutes(text: str) -> float:
    minutes = float(text)
    if not 0 < minutes < math.inf:
        raise argparse.ArgumentTypeError(f'{text} is no time; write minutes above 0')
    return minutes


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``dense-perception-train``."""
    parser = argparse.ArgumentParser(prog='dense-perception-train', description=__doc__)
    parser.add_argument('recipe', help='YAML file, or name of a recipe of the package; '
                                       '"recipe=NAME" says the same')
    parser.add_argument('overrides', nargs='*', metavar='KEY=VALUE',
                        help='changes of the recipe, for example stages.0.batch=4')
    parser.add_argument('--out', type=Path,
                        help='run folder, resumed if it exists (default: runs/<recipe>)')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu',
                        choices=['cpu', 'cuda'])
    parser.add_argument('--devices', type=int,
                        default=int(os.environ.get('LOCAL_WORLD_SIZE', 1)),
                        help='processes on this machine (default: 1, or what torchrun started)')
    parser.add_argument('--nodes', type=int, default=int(os.environ.get('GROUP_WORLD_SIZE', 1)),
                        help='machines (default: 1, or what torchrun started)')
    parser.add_argument('--sharded', action='store_true',
                        help='FSDP: share the weights among the processes, for models that do not '
                             'fit into one')
    parser.add_argument('--minutes', type=_minutes, metavar='M',
                        help='shorten or draw out the stages so that the run takes about so long '
                             'on this machine, which is measured first')
    parser.add_argument('--measure-loading', type=int, metavar='STEPS',
                        help='train nothing: tell how far data loading keeps up over so many '
                             'steps')
    args = parser.parse_intermixed_args(arguments)
    name = args.recipe.removeprefix('recipe=')
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        recipe = Recipe.load(name, args.overrides)
        if args.measure_loading:
            rates = measure_loading(recipe, args.device, args.measure_loading)
            print(f'{rates["loaded"]:.1f} images/s with loading, {rates["cached"]:.1f} on cached '
                  f'batches: {rates["share"]:.2f}')
            return
        run = args.out or Path('runs') / find_recipe(name).stem
        train(recipe, run, args.device, args.devices, args.nodes, args.sharded, args.minutes)
    except (DatasetError, LossError, ModelFileError, NotANumberError, RecipeError, TransformError,
            WeightsError) as error:
        raise SystemExit(f'dense-perception-train: {error}') from None
    except OSError as error:
        raise SystemExit(f'dense-perception-train: {error}; the last whole checkpoint is kept, '
                         'the same command goes on from it') from None
    except KeyboardInterrupt:
        raise SystemExit('dense-perception-train: interrupted; the same command goes '
                         'on') from None


if __name__ == '__main__':
    main()

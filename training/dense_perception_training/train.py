"""``dense-perception-train``: train a model by a recipe; killed at any moment, it resumes.

On several GPUs, or on several CPU cores, start it under torchrun:
``torchrun --nproc_per_node 2 -m dense_perception_training.train RECIPE RUN``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from tqdm import tqdm

from dense_perception.export.weights import save_weights
from dense_perception.inference.card import (
    OUTPUT_CONFIDENCE,
    OUTPUT_DEPTH,
    OUTPUT_LABELS,
    ModelCard,
)
from dense_perception.models import create_model
from dense_perception.models.inputs import IMAGENET_MEAN, IMAGENET_STD, normalised, with_mount
from dense_perception.world.classes import CLASSES
from dense_perception_training.config import Recipe, RecipeError
from dense_perception_training.data import StepBatches, class_weights
from dense_perception_training.datasets import DatasetError
from dense_perception_training.losses import Criterion, CrossEntropy, HeightNormalisedLog, Term
from dense_perception_training.shards import ShardError

_SAVE_EVERY, _LOG_EVERY = 200, 20


class NotANumberError(RuntimeError):
    """The loss is not finite; the batch that did it has been saved."""


class Trainer:
    """One run: model, averaged model, optimiser and where it stands, in a run folder."""

    def __init__(self, recipe: Recipe, run: Path, device: str) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.run, self.device = recipe, run, torch.device(device)
        self.rank, self.world = dist.get_rank(), dist.get_world_size()
        self.model = create_model(recipe.model).to(self.device, memory_format=torch.channels_last)
        self.ema = torch.optim.swa_utils.AveragedModel(
            self.model, avg_fn=Average(recipe.ema_decay), use_buffers=True)
        self.optimiser = torch.optim.AdamW(_decay_groups(self.model, recipe.weight_decay), lr=0.0,
                                           fused=True)
        weights = class_weights(Path(recipe.data), self.model.config.num_classes)
        self.criterion = Criterion([
            Term('depth', HeightNormalisedLog(recipe.gradient_weight, far=recipe.depth_far)),
            Term('labels', CrossEntropy(weights=tuple(weights.tolist())),
                 recipe.segmentation_weight)])
        self.step = 0
        self.checkpoint = run / 'checkpoint.pt'
        if self.checkpoint.exists():
            self._resume()
        self.parallel = DistributedDataParallel(self.model)

    def fit(self) -> None:
        """Train to the end of the recipe."""
        while self.step < self.recipe.total_steps:
            stage, _ = self.recipe.stage_at(self.step)
            end = sum(s.steps for s in self.recipe.stages[:stage + 1])
            self._fit_stage(stage, end)
        self.save()

    def _fit_stage(self, index: int, end: int) -> None:
        stage = self.recipe.stages[index]
        batches = StepBatches(Path(self.recipe.data), stage.batch // self.world, stage.height,
                              stage.width, (self.recipe.seed, self.rank),
                              self.recipe.augmentation)
        cpu = self.device.type == 'cpu'
        loader = DataLoader(batches, batch_size=None, sampler=range(self.step, end),
                            num_workers=1 if cpu else min(12, os.cpu_count() or 1),
                            prefetch_factor=4, pin_memory=not cpu)
        log = (self.run / 'log.jsonl').open('a')
        started, first = time.monotonic(), self.step
        with log, tqdm(total=end, initial=self.step, unit='step',
                       desc=f'{stage.height}x{stage.width}', disable=self.rank > 0) as bar:
            for batch in loader:
                losses = self._train_step(batch)
                self.step += 1
                bar.update()
                if self.step % _LOG_EVERY == 0 and self.rank == 0:
                    rate = (self.step - first) * stage.batch / (time.monotonic() - started)
                    bar.set_postfix({k: f'{v:.3f}' for k, v in losses.items()})
                    log.write(json.dumps({'step': self.step, 'images_per_s': round(rate, 1),
                                          **losses}) + '\n')
                    log.flush()
                if self.step % _SAVE_EVERY == 0:
                    self.save()

    def _train_step(self, batch: dict[str, torch.Tensor]) -> dict[str, float]:
        recipe = self.recipe
        for group in self.optimiser.param_groups:
            group['lr'] = learning_rate(recipe, self.step)
        data = {k: v.to(self.device, non_blocking=True) for k, v in batch.items()}
        x = with_mount(normalised(data['image']), data['intrinsics'], data['gravity'],
                       data['known'])
        with torch.autocast(self.device.type, torch.bfloat16):
            outputs = self.parallel(x.contiguous(memory_format=torch.channels_last))
        losses = self.criterion(outputs, data)
        loss = losses['loss']
        if not torch.isfinite(loss):
            torch.save(batch, self.run / 'not_finite_batch.pt')
            raise NotANumberError(f'loss is {loss.item()} at step {self.step}; the batch is in '
                                  f'{self.run / "not_finite_batch.pt"}')
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip_norm)
        self.optimiser.step()
        if self.rank == 0:
            self.ema.update_parameters(self.model)
        return {name: value.item() for name, value in losses.items()}

    def save(self) -> None:
        """Write the checkpoint; the previous one survives until the new one is whole."""
        if self.rank > 0:
            return
        partial = self.checkpoint.with_suffix('.partial')
        torch.save({'step': self.step, 'model': self.model.state_dict(),
                    'ema': self.ema.state_dict(), 'optimiser': self.optimiser.state_dict()},
                   partial)
        os.replace(partial, self.checkpoint)
        save_weights(self.ema.module, make_card(self.recipe), self.run)

    def _resume(self) -> None:
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state['model'])
        self.ema.load_state_dict(state['ema'])
        self.optimiser.load_state_dict(state['optimiser'])
        self.step = state['step']
        print(f'resuming {self.run} at step {self.step} of {self.recipe.total_steps}')


class Average:
    """Exponential moving average that forgets its random start quickly."""

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def __call__(self, averaged: torch.Tensor, current: torch.Tensor,
                 updates: torch.Tensor) -> torch.Tensor:
        """Next average of one tensor after ``updates`` updates."""
        decay = min(self.decay, (1 + int(updates)) / (10 + int(updates)))
        return averaged + (1 - decay) * (current - averaged)


def make_card(recipe: Recipe) -> ModelCard:
    """The card of what a recipe trains: depth and labels at the last stage's size."""
    last = recipe.stages[-1]
    return ModelCard(
        name=recipe.model, system=recipe.model.split('_')[0], variant=recipe.model,
        tasks=('depth', 'segmentation'), input_height=last.height, input_width=last.width,
        outputs=(OUTPUT_DEPTH, OUTPUT_LABELS, OUTPUT_CONFIDENCE), mean=IMAGENET_MEAN,
        std=IMAGENET_STD, depth_convention='metric', depth_range=(0.1, recipe.depth_far),
        mount='optional', classes=CLASSES, training_data=f'procedural world ({recipe.data})',
        commit=_commit(), licence='Apache-2.0')


def _commit() -> str:
    """The checkout's commit, or nothing where the package is not run from one."""
    result = subprocess.run(['git', 'rev-parse', '--short=12', 'HEAD'], capture_output=True,
                            text=True, cwd=Path(__file__).parent, check=False)
    return result.stdout.strip()


def learning_rate(recipe: Recipe, step: int) -> float:
    """Cosine from each stage's start to its end, after a linear warm-up of the whole run."""
    index, within = recipe.stage_at(step)
    stage = recipe.stages[index]
    share = 0.5 * (1 + math.cos(math.pi * within / stage.steps))
    rate = stage.lr_end + (stage.lr_start - stage.lr_end) * share
    return rate * min(1.0, (step + 1) / max(recipe.warmup_steps, 1))


def _decay_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Weight decay for matrices and kernels, none for norms and biases."""
    parameters = list(model.parameters())
    return [{'params': [p for p in parameters if p.ndim > 1], 'weight_decay': weight_decay},
            {'params': [p for p in parameters if p.ndim <= 1], 'weight_decay': 0.0}]


@contextlib.contextmanager
def process_group(device: str) -> Iterator[str]:
    """Join torchrun's processes, or make a group of one; gives this process's device."""
    backend = 'nccl' if device == 'cuda' else 'gloo'
    if 'RANK' in os.environ:
        dist.init_process_group(backend)
        if device == 'cuda':
            device = f'cuda:{os.environ["LOCAL_RANK"]}'
            torch.cuda.set_device(device)
    else:
        with tempfile.NamedTemporaryFile(prefix='dense_perception_train_') as store:
            dist.init_process_group(backend, init_method=f'file://{store.name}.group',
                                    rank=0, world_size=1)
    try:
        yield device
    finally:
        dist.destroy_process_group()


def main() -> None:
    """Entry point of ``dense-perception-train``."""
    parser = argparse.ArgumentParser(prog='dense-perception-train', description=__doc__)
    parser.add_argument('recipe', type=Path, help='YAML recipe, see training/configs')
    parser.add_argument('run', type=Path, help='run folder; resumed if it exists')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    args = parser.parse_args()
    try:
        recipe = Recipe.load(args.recipe)
        args.run.mkdir(parents=True, exist_ok=True)
        (args.run / 'recipe.yaml').write_text(args.recipe.read_text())
        with process_group(args.device) as device:
            Trainer(recipe, args.run, device).fit()
    except (RecipeError, DatasetError, ShardError, NotANumberError) as error:
        raise SystemExit(f'dense-perception-train: {error}') from None


if __name__ == '__main__':
    main()

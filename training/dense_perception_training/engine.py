"""The training loop: one for a CPU, a GPU, many GPUs and many machines (Lightning Fabric)."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from dense_perception.export.cards import card_for
from dense_perception.export.weights import save_weights
from dense_perception.inference.card import ModelCard
from dense_perception.models import model_entry
from dense_perception.models.complexity import input_channels
from dense_perception.models.inputs import require_multiple
from dense_perception_training import cpu
from dense_perception_training.ema import averaged_model
from dense_perception_training.feeding import (
    OfAnySize,
    network_input,
    open_batches,
    open_mixture,
    to_device,
)
from dense_perception_training.interruption import StopSignals
from dense_perception_training.losses import Criterion
from dense_perception_training.mgda import gram_of, min_norm_weights
from dense_perception_training.optimiser import learning_rate, make_optimiser, set_learning_rate
from dense_perception_training.recipe import Recipe, RecipeError, Stage
from dense_perception_training.runlog import RunLog
from dense_perception_training.starting import (
    balanced_losses,
    check_learned,
    commit_of_checkout,
    learned_state,
    start_model,
)
from dense_perception_training.teaching import Teacher, load_teacher
from dense_perception_training.validation import Validation

CHECKPOINT = 'checkpoint.pt'
_LOG_EVERY = 20


class NotANumberError(RuntimeError):
    """The loss is not finite; the batch that did it has been saved."""


class Trainer:
    """One run: model, averaged model, optimiser and where it stands, in a run folder.

    A batch follows from (seed, process, step) alone and so does every other random choice, so a
    run that was killed and resumed ends where an unbroken one would.

    :param run: folder; where it holds a checkpoint, the run goes on from there.
    :raises RecipeError: the recipe does not fit the model or the machine.
    :raises DatasetError: a source cannot be read.
    """

    def __init__(self, recipe: Recipe, run: Path, fabric: Fabric) -> None:
        self.recipe, self.run, self.fabric = recipe, run, fabric
        torch.manual_seed(recipe.seed)
        raw = start_model(recipe)
        self._prepare(raw)
        if fabric.device.type == 'cpu':
            cpu.keep_freed_memory()
            cpu.prepare_model(raw)
            if not cpu.has_fast_bfloat16():
                cpu.orthogonalise_in_float32()
        self.ema = averaged_model(raw, recipe.ema_decay) if recipe.ema_decay else None
        if self.ema is not None:
            self.ema.to(fabric.device)
        self.criterion = self.criterion.bound(raw)
        learned = self.criterion.learned
        if learned:
            check_learned(learned, recipe, fabric)
        self.model, self.optimiser = fabric.setup(
            raw, make_optimiser(raw, recipe.optimiser, *learned.values()))
        self.criterion = self.criterion.with_learned(
            {name: fabric.setup_module(loss) for name, loss in learned.items()})
        self.teacher = self._open_teacher(raw)
        self._signals = StopSignals()
        self.step = 0
        if (run / CHECKPOINT).exists():
            self._resume()
        self.log = RunLog(run, self.step) if fabric.is_global_zero else None

    def _prepare(self, raw: nn.Module) -> None:
        """Open data, losses and validation; trainers of other tasks have their own."""
        recipe = self.recipe
        self.entry = model_entry(recipe.model.name)
        self.in_chans = input_channels(raw)
        _check_sizes(recipe, self.entry.input.multiple)
        self.classes = open_mixture(recipe, recipe.stages[0]).classes
        self.criterion = Criterion.from_config(balanced_losses(recipe, len(self.classes)))
        self.validation = Validation(recipe) if recipe.validation else None

    def _open_teacher(self, raw: nn.Module) -> Teacher | None:
        choice = self.recipe.teacher
        if choice is None:
            return None
        if choice.weights is not None:
            return load_teacher(choice, raw, len(self.classes), self.fabric.device)
        assert self.ema is not None  # the recipe was checked
        return Teacher(self.ema.module, self.entry.input, choice)

    def fit(self) -> None:
        """Train to the end of the recipe.

        :raises KeyboardInterrupt: SIGINT or SIGTERM came; the step was finished and saved.
        """
        with self._signals:
            while self.step < self.recipe.total_steps:
                self._fit_stage(self.recipe.stage_at(self.step)[0])
        self.save()
        self._validate()

    def _fit_stage(self, index: int) -> None:
        stage = self.recipe.stages[index]
        end = sum(s.steps for s in self.recipe.stages[:index + 1])
        started, first = time.monotonic(), self.step
        with tqdm(total=end, initial=self.step, unit='step', desc=f'{stage.height}x{stage.width}',
                  disable=not self.fabric.is_global_zero) as bar:
            for batches in self._steps(index, end):
                losses = self._train_step(batches)
                self.step += 1
                bar.update()
                if self.step % _LOG_EVERY == 0 and self.log is not None:
                    rate = (self.step - first) * stage.batch / (time.monotonic() - started)
                    bar.set_postfix({k: f'{v:.3f}' for k, v in losses.items()})
                    self.log.scalars(self.step, {**losses, 'images_per_s': round(rate, 1)})
                stop = self._stop_wanted()
                if stop or self.step % self.recipe.save_every == 0:
                    self.save()
                if stop:
                    raise KeyboardInterrupt
                if self.recipe.validate_every and self.step % self.recipe.validate_every == 0:
                    self._validate()

    def _stop_wanted(self) -> bool:
        """Whether any process was told to stop: all of them leave after the same step."""
        told = torch.tensor(float(self._signals.received), device=self.fabric.device)
        return bool(self.fabric.all_reduce(told, reduce_op='sum') > 0)

    def _steps(self, index: int, end: int) -> Iterator[list[dict[str, torch.Tensor]]]:
        """The batches of each step from now to ``end``: ``accumulate`` for this process."""
        recipe, fabric = self.recipe, self.fabric
        parts = fabric.world_size * recipe.accumulate
        batch = recipe.stages[index].batch
        if batch % parts:
            raise RecipeError(f'a batch of {batch} cannot be shared by {fabric.world_size} '
                              f'processes in {recipe.accumulate} parts each')
        seed = recipe.seed, fabric.global_rank
        sizes = [self._batches(stage, batch // parts, seed)
                 for stage in recipe.stages[index].by_size()]
        on_cpu = fabric.device.type == 'cpu'
        loader = DataLoader(
            OfAnySize(sizes, recipe.seed), batch_size=None, pin_memory=not on_cpu,
            sampler=range(self.step * recipe.accumulate, end * recipe.accumulate),
            prefetch_factor=4,
            worker_init_fn=_begin_worker,
            num_workers=1 if on_cpu else min(12, os.cpu_count() or 1))
        part = []
        for item in loader:
            part.append(to_device(item, fabric.device))
            if len(part) == recipe.accumulate:
                yield part
                part = []

    def _batches(self, stage: Stage, batch: int,
                 seed: tuple[int, ...]) -> Dataset[dict[str, torch.Tensor]]:
        """Item ``step`` is that step's batch of this process, at the stage's own size."""
        return open_batches(self.recipe, stage, batch, seed)

    def _train_step(self, batches: list[dict[str, torch.Tensor]]) -> dict[str, float]:
        recipe = self.recipe
        set_learning_rate(self.optimiser, learning_rate(recipe, self.step))
        # Dropout and the like follow from the step too, not from how often the run was resumed.
        torch.manual_seed(hash((recipe.seed, self.fabric.global_rank, self.step)) % 2 ** 63)
        self.optimiser.zero_grad(set_to_none=True)
        if recipe.objective == 'mgda':
            losses = self._backward_mgda(batches)
        else:
            losses = self._backward(batches)
        if recipe.optimiser.clip_norm:
            self.fabric.clip_gradients(self.model, self.optimiser,
                                       max_norm=recipe.optimiser.clip_norm)
        self.optimiser.step()
        if self.ema is not None:
            self.ema.update_parameters(unwrapped(self.model))
        return losses

    def _backward(self, batches: list[dict[str, torch.Tensor]]) -> dict[str, float]:
        total: dict[str, float] = {}
        for number, batch in enumerate(batches):
            last = number + 1 == len(batches)
            with ExitStack() as unsynchronised:
                for module in (self.model, *self.criterion.learned.values()):
                    unsynchronised.enter_context(
                        self.fabric.no_backward_sync(module, enabled=not last))
                losses = self._losses(batch)
                self.fabric.backward(losses['loss'] / len(batches))
            for name, value in losses.items():
                total[name] = total.get(name, 0.0) + value.item() / len(batches)
        return total

    def _backward_mgda(self, batches: list[dict[str, torch.Tensor]]) -> dict[str, float]:
        """Weigh the gradients of the batches, one for each source, against each other."""
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        gradients, values = [], []
        for batch in batches:
            loss = self._losses(batch)['loss']
            found = torch.autograd.grad(loss, parameters, allow_unused=True)
            whole = [torch.zeros_like(p) if g is None else g
                     for p, g in zip(parameters, found, strict=True)]
            gradients.append([self.fabric.all_reduce(g) for g in whole])
            values.append(loss.item())
        weights = min_norm_weights(gram_of(gradients))
        for index, parameter in enumerate(parameters):
            parameter.grad = sum(w * g[index] for w, g in zip(weights, gradients, strict=True))
        return {'loss': sum(values) / len(values),
                **{f'source_{i}': v for i, v in enumerate(values)},
                **{f'mgda_weight_{i}': w.item() for i, w in enumerate(weights)}}

    def _losses(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        losses = self._compute(batch)
        if not torch.isfinite(losses['loss']):
            path = self.run / f'not_finite_batch_{self.fabric.global_rank}.pt'
            torch.save(batch, path)
            raise NotANumberError(f'loss is {losses["loss"].item()} at step {self.step}; the '
                                  f'batch is in {path}')
        return losses

    def _compute(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The losses of a batch by name, and what is minimised as ``loss``."""
        outputs = self.model(network_input(batch, self.entry.input, self.in_chans))
        if self.teacher is not None:
            with self.fabric.autocast():
                batch = self.teacher(batch)
        return self.criterion(outputs, batch)

    def save(self) -> None:
        """Write the checkpoint; the previous one survives until the new one is whole."""
        state: dict[str, Any] = {'step': self.step, 'model': self.model,
                                 'optimiser': self.optimiser}
        if self.ema is not None:
            state['ema'] = self.ema.state_dict()
        for name, loss in self.criterion.learned.items():
            state[f'loss {name}'] = learned_state(unwrapped(loss))
        partial = self.run / f'{CHECKPOINT}.partial'
        self.fabric.save(partial, state)
        if self.fabric.is_global_zero:
            os.replace(partial, self.run / CHECKPOINT)
            save_weights(self.best(), self.card(), self.run)
        self.fabric.barrier()

    def best(self) -> nn.Module:
        """The averaged model, or the model itself without an average."""
        return self.ema.module if self.ema is not None else unwrapped(self.model)

    def card(self) -> ModelCard | None:
        """The card of what this run makes, at the last stage's size; None if there is no such."""
        last, choice = self.recipe.stages[-1], self.recipe.model
        data = ', '.join(dict.fromkeys(
            f'{s.dataset} {s.split or ""}'.strip() for s in self.recipe.sources))
        return card_for(choice.name, choice.options, self.classes, input_height=last.height,
                        input_width=last.width, training_data=data, commit=commit_of_checkout())

    def _validate(self) -> None:
        if self.validation is None or not self.fabric.is_global_zero:
            return
        card = self.card()
        assert card is not None
        scores, sheet = self.validation.measure(self.best(), card)
        if self.log is not None:
            self.log.scalars(self.step, scores, 'validation')
            self.log.picture(self.step, 'validation', sheet)

    def _resume(self) -> None:
        state: dict[str, Any] = {'step': 0, 'model': self.model, 'optimiser': self.optimiser}
        rest = self.fabric.load(self.run / CHECKPOINT, state, weights_only=True)
        self.step = state['step']
        if self.ema is not None:
            self.ema.load_state_dict(rest['ema'])
        for name, loss in self.criterion.learned.items():
            loss.load_state_dict(rest[f'loss {name}'], strict=False)
        self.fabric.print(f'resuming {self.run} at step {self.step} of {self.recipe.total_steps}')


def _check_sizes(recipe: Recipe, multiple: int) -> None:
    """Refuse now what the network would refuse whenever a batch of that size comes."""
    for stage in recipe.stages:
        for sized in stage.by_size():
            try:
                require_multiple(torch.empty(0, sized.height, sized.width), multiple)
            except ValueError as error:
                raise RecipeError(f'stages: {recipe.model.name}: {error}') from None


def _begin_worker(number: int) -> None:
    # OpenCV's threads in every worker would compete with the training for the same cores.
    cv2.setNumThreads(0)
    # Terminals and torchrun tell whole groups of processes to stop; without its batches the
    # training could not finish the step.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.SIG_IGN)


def unwrapped(model: nn.Module) -> nn.Module:
    """The model without Fabric's and DDP's wrappers."""
    return getattr(model, 'module', model)

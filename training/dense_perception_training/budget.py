"""A run that ends after about so many minutes: the recipe's stages, shortened or drawn out."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from lightning_fabric import Fabric

from dense_perception_training.engine import CHECKPOINT, Trainer
from dense_perception_training.recipe import KEPT, Recipe

_WARM_UP_S, _MEASURE_S = 5.0, 10.0  # data loaders begin with what they could prepare meanwhile
_LEAST_STEPS = 2


def within(minutes: float, recipe: Recipe, run: Path, fabric: Fabric,
           trainer_class: Callable[[Recipe, Path, Fabric], Trainer]) -> Recipe:
    """The recipe with as many steps as this machine does in ``minutes``.

    Stages keep their shares of the time, and learning rates fall to their ends, which is what a
    run that is stopped early lacks. A run that was begun keeps the steps it was begun with.
    """
    if (run / CHECKPOINT).exists():
        return replace(recipe, stages=Recipe.load(run / KEPT).stages)
    with tempfile.TemporaryDirectory(prefix='dense_perception_budget_') as folder:
        trainer = trainer_class(recipe, Path(folder), fabric)
        try:
            seconds = [_seconds_per_step(trainer, i) for i in range(len(recipe.stages))]
        finally:
            if trainer.log is not None:
                trainer.log.close()
    # All processes must agree.
    return shortened(recipe, fabric.broadcast(seconds), 60 * minutes)


def shortened(recipe: Recipe, seconds: list[float], budget: float) -> Recipe:
    """The recipe with its steps multiplied by one factor, so that they take ``budget`` seconds.

    :param seconds: per step of each stage.
    """
    whole = sum(s * stage.steps for s, stage in zip(seconds, recipe.stages, strict=True))
    stages = [replace(stage, steps=max(1, round(stage.steps * budget / whole)))
              for stage in recipe.stages]
    return replace(recipe, stages=stages)


def _seconds_per_step(trainer: Trainer, stage: int) -> float:
    steps = trainer._steps(stage, trainer.step + 1_000_000)
    _run(trainer, steps, _WARM_UP_S)
    count, seconds = _run(trainer, steps, _MEASURE_S)
    steps.close()
    return seconds / count


def _run(trainer: Trainer, steps: Iterator, seconds: float) -> tuple[int, float]:
    """Train for so long; returns the number of steps and the seconds they took."""
    started = time.perf_counter()
    for count in itertools.count(1):
        trainer._train_step(next(steps))
        elapsed = time.perf_counter() - started
        # The first process decides for all, or they would wait for each other.
        if trainer.fabric.broadcast(count >= _LEAST_STEPS and elapsed >= seconds):
            return count, elapsed
    raise AssertionError('counting has no end')

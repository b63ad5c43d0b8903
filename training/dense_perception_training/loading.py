"""Does data loading keep up with training? The same steps with fresh and with kept batches."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from dense_perception_training.engine import Trainer
from dense_perception_training.recipe import Recipe
from dense_perception_training.starting import make_fabric

_TURN = 5  # steps of one kind before the other has its turn: a busy machine then slows both


def measure_loading(recipe: Recipe, device: str, steps: int) -> dict[str, float]:
    """Train a throw-away model for ``steps`` steps of each kind, in turns.

    :returns: ``loaded`` and ``cached``, images per second, and ``share``, loaded over cached: at
        0.9 and above loading is not what training waits for.
    """
    fabric = make_fabric(device, 1, 1, recipe, sharded=False)
    fabric.launch()
    with tempfile.TemporaryDirectory(prefix='dense_perception_loading_') as folder:
        trainer = Trainer(recipe, Path(folder), fabric)
        try:
            return _measure(trainer, steps)
        finally:
            if trainer.log is not None:
                trainer.log.close()


def _measure(trainer: Trainer, steps: int) -> dict[str, float]:
    fresh = trainer._steps(0, steps + _TURN)
    kept = [next(fresh) for _ in range(_TURN)]
    for batches in kept:  # the first steps allocate
        trainer._train_step(batches)
    cached = itertools.cycle(kept)
    seconds = {'loaded': 0.0, 'cached': 0.0}
    done = 0
    while done < steps:
        count = min(_TURN, steps - done)
        for name, source in (('loaded', fresh), ('cached', cached)):
            seconds[name] += _time(trainer, itertools.islice(source, count))
        done += count
    for _ in fresh:  # to its end, so that the loader's workers stop by themselves
        pass
    images = steps * trainer.recipe.stages[0].batch
    rates = {name: images / value for name, value in seconds.items()}
    return {**rates, 'share': rates['loaded'] / rates['cached']}


def _time(trainer: Trainer, source: Iterable | Iterator) -> float:
    start = time.perf_counter()
    for batches in source:
        trainer._train_step(batches)
    if trainer.fabric.device.type == 'cuda':
        torch.cuda.synchronize()
    return time.perf_counter() - start

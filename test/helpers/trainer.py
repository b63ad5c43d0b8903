"""A trainer of one process on the CPU."""

from __future__ import annotations

from pathlib import Path

from dense_perception_training.engine import Trainer
from dense_perception_training.recipe import Recipe
from dense_perception_training.starting import make_fabric


def trainer_of(recipe: Recipe, run: Path) -> Trainer:
    """Begin a run, or go on with it."""
    run.mkdir(exist_ok=True)
    fabric = make_fabric('cpu', 1, 1, recipe, sharded=False)
    fabric.launch()
    return Trainer(recipe, run, fabric)

"""A recipe: what one training run does, read from YAML."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from dense_perception_training.data import Augmentation


class RecipeError(ValueError):
    """A recipe that cannot be run; the message names the key and what would be right."""


@dataclass(frozen=True)
class Stage:
    """A stretch of training at one resolution; the rate falls on a cosine within it."""

    height: int
    width: int
    batch: int
    steps: int
    lr_start: float
    lr_end: float


@dataclass(frozen=True)
class Recipe:
    """See ``configs/xnet_small.yaml`` for the meaning of each key."""

    model: str
    data: str
    stages: tuple[Stage, ...]
    seed: int = 0
    depth_far: float = 80.0
    gradient_weight: float = 0.3
    segmentation_weight: float = 0.4
    weight_decay: float = 0.02
    ema_decay: float = 0.999
    clip_norm: float = 1.0
    warmup_steps: int = 200
    augmentation: Augmentation = field(default_factory=Augmentation)

    @property
    def total_steps(self) -> int:
        """Steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    def stage_at(self, step: int) -> tuple[int, int]:
        """Index of the stage that ``step`` belongs to, and the step within it."""
        for index, stage in enumerate(self.stages):
            if step < stage.steps:
                return index, step
            step -= stage.steps
        raise ValueError(f'step is {step} past the end of the recipe')

    @classmethod
    def load(cls, path: Path) -> Recipe:
        """Read a recipe.

        :raises RecipeError: unreadable, unknown or missing keys, values of the wrong type.
        """
        try:
            raw = yaml.safe_load(path.read_text())
        except (OSError, yaml.YAMLError) as error:
            raise RecipeError(f'cannot read recipe {path}: {error}') from None
        if not isinstance(raw, dict):
            raise RecipeError(f'recipe {path} is not a mapping of keys to values')
        raw['stages'] = tuple(_build(Stage, s, f'{path}: stages') for s in raw.get('stages', ()))
        if not raw['stages']:
            raise RecipeError(f'recipe {path} has no stages')
        raw['augmentation'] = _build(Augmentation, raw.get('augmentation', {}),
                                     f'{path}: augmentation')
        return _build(cls, raw, str(path))


def _build(kind: Any, raw: Any, where: str) -> Any:
    known = {f.name for f in fields(kind)}
    for key in raw:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f'; did you mean "{near[0]}"?' if near else f'; known: {sorted(known)}'
            raise RecipeError(f'{where}: unknown key "{key}"{hint}')
    try:
        return kind(**raw)
    except TypeError as error:
        raise RecipeError(f'{where}: {error}') from None

"""A recipe: what one training run does, read from YAML and overridden on the command line."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from omegaconf import MISSING, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from dense_perception_training.batches import MountErrors

_HERE = Path(__file__).resolve().parent
CONFIGS = next(p for p in (_HERE / 'configs', _HERE.parent / 'configs') if p.is_dir())
"""The recipes that come with the package; named without their folder and ``.yaml``."""

KEPT = 'recipe.yaml'
"""File of a run folder that holds the run's recipe, complete."""
DECAYS = ('cosine', 'poly', 'constant')
OPTIMISERS = ('adamw', 'adam', 'sgd', 'muon')
OBJECTIVES = ('sum', 'mgda')


class RecipeError(ValueError):
    """A recipe that cannot be run; the message names the key and what would be right."""


@dataclass(frozen=True)
class ModelChoice:
    """``name`` and ``options`` of ``models.create_model``, and what to start from.

    ``weights``: a folder of weights, or a model file by its path or the name of a shipped one.
    """

    name: str = MISSING
    options: dict[str, Any] = field(default_factory=dict)
    weights: str | None = None


@dataclass(frozen=True)
class Source:
    """A dataset on disk, as ``datasets.open_dataset`` takes it.

    ``rate``: its share of the samples, relative to the other sources'. ``transforms``: its own, in
    place of the recipe's; None = the recipe's.
    """

    dataset: str = MISSING
    root: str = MISSING
    split: str | None = None
    rate: float = 1.0
    options: dict[str, Any] = field(default_factory=dict)
    transforms: list[dict[str, Any]] | None = None


@dataclass(frozen=True)
class Stage:
    """A stretch of training at one resolution with one learning-rate curve.

    ``also``: further sizes, [height, width] each; every batch has one of them or the stage's own,
    each as likely. The rate falls from ``lr`` to ``lr_end`` by ``decay`` (``poly`` with
    ``power``).
    """

    height: int = MISSING
    width: int = MISSING
    batch: int = MISSING
    steps: int = MISSING
    lr: float = MISSING
    lr_end: float = 0.0
    decay: str = 'cosine'
    power: float = 0.9
    also: list[Any] = field(default_factory=list)

    def by_size(self) -> list[Stage]:
        """The stage at its own size and at each of the others."""
        own = replace(self, also=[])
        return [own, *(replace(own, height=height, width=width) for height, width in self.also)]


@dataclass(frozen=True)
class Optimiser:
    """The optimiser of all stages.

    ``encoder_factor``: learning rate of the encoder relative to the rest. ``layer_decay``: factor
    from each encoder block to the one before it. Norms and biases have no weight decay. ``muon``
    moves matrices and kernels by orthogonalised momentum (Jordan et al. 2024, by timm), and by
    AdamW, at ``vector_factor`` times the rate, what is none: norms, biases, depthwise kernels.
    ``betas`` are AdamW's and Adam's, ``momentum`` is SGD's and Muon's.
    """

    kind: str = 'adamw'
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.9
    encoder_factor: float = 1.0
    layer_decay: float = 1.0
    vector_factor: float = 1.0
    clip_norm: float = 0.0


@dataclass(frozen=True)
class Classification:
    """How images are varied for a classifier, by timm.

    ``auto_augment``: timm's name of a policy, empty for none. ``erasing``: share of images with an
    erased rectangle. ``scale``: share of an image that a crop takes. ``mixup``, ``cutmix``:
    parameters of their Beta distributions, 0 for none. ``smoothing``: of the labels.
    ``crop_share``: of the shorter side, in validation.
    """

    auto_augment: str = 'rand-m9-mstd0.5-inc1'
    erasing: float = 0.25
    scale: tuple[float, float] = (0.08, 1.0)
    mixup: float = 0.8
    cutmix: float = 1.0
    smoothing: float = 0.1
    crop_share: float = 0.875


@dataclass(frozen=True)
class Detection:
    """How images are varied for a detector, by torchvision.

    ``jitter``: range of the random scale relative to the stage's size (large-scale jittering has
    0.1 to 2); a crop of the stage's size follows. ``flip``: share of mirrored images.
    """

    jitter: tuple[float, float] = (0.1, 2.0)
    flip: float = 0.5


@dataclass(frozen=True)
class TeacherChoice:
    """Whom the loss ``agreement`` compares with, and in which view, see ``teaching``.

    ``weights``: of a trained model, as ``model.weights``; None = the run's own moving average.
    ``flip``: share of the batches that it sees mirrored. ``zoom``: it sees a window of at least
    this share of the width and of the height. ``exposure``: standard deviation of the logarithm
    of a further gain. ``angle`` (degrees), ``height``: standard deviations of further errors of
    the mount.
    """

    weights: str | None = None
    flip: float = 0.0
    zoom: float = 1.0
    exposure: float = 0.0
    angle: float = 0.0
    height: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """See docs/training.md for the meaning of each key.

    ``losses`` and ``transforms`` are lists of ``{loss: NAME, ...}`` and
    ``{transform: NAME, ...}``; after the transforms, samples are resized to the stage's size. A
    loss with ``balance: POWER`` weighs classes by (1 / share of the sources' pixels) ** POWER.
    ``mount``: what models with mount channels are told of it. ``teacher``: whom the loss
    ``agreement`` compares with. ``objective``: ``sum`` of the
    losses, or ``mgda``, which weighs the sources' losses so that none gets worse (Sener and Koltun
    2018; MiDaS and DPT were trained so). ``warmup_steps``: the learning rate rises over them from
    the share ``warmup_from``. ``accumulate``: parts a batch is computed in. ``ema_decay``: 0 = no
    moving average. ``precision`` as in Lightning Fabric. ``classification``, ``detection``: for
    models of these tasks, in place of ``transforms``; a detector brings its own losses.
    """

    model: ModelChoice = field(default_factory=ModelChoice)
    sources: list[Source] = MISSING
    stages: list[Stage] = MISSING
    losses: list[dict[str, Any]] = field(default_factory=list)
    transforms: list[dict[str, Any]] = field(default_factory=list)
    validation: list[Source] = field(default_factory=list)
    validation_frames: int = 100
    single_source: bool = False
    optimiser: Optimiser = field(default_factory=Optimiser)
    mount: MountErrors = field(default_factory=MountErrors)
    teacher: TeacherChoice | None = None
    classification: Classification | None = None
    detection: Detection | None = None
    objective: str = 'sum'
    warmup_steps: int = 0
    warmup_from: float = 0.0
    accumulate: int = 1
    ema_decay: float = 0.0
    precision: str = '32-true'
    seed: int = 0
    save_every: int = 500
    validate_every: int = 0

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
    def load(cls, recipe: str | Path, overrides: Sequence[str] = ()) -> Recipe:
        """Read and check a recipe.

        :param recipe: a YAML file, or the name of one of those that come with the package.
        :param overrides: ``key=value``, e.g. ``stages.0.batch=4`` or ``model.options.depth=exp``.
        :raises RecipeError: no such recipe, not YAML, an unknown key or a value of a wrong type.
        """
        path = find_recipe(recipe)
        try:
            tree = OmegaConf.create(yaml.safe_load(path.read_text()) or {})
        except (yaml.YAMLError, UnicodeDecodeError, OmegaConfBaseException) as error:
            raise RecipeError(f'{path} is not a YAML mapping: {error}') from None
        for override in overrides:
            _override(tree, override)
        try:
            merged = OmegaConf.merge(OmegaConf.structured(cls), tree)
            made = OmegaConf.to_object(merged)
        except MissingMandatoryValue as error:
            raise RecipeError(f'{path}: "{error.full_key}" is missing') from None
        except OmegaConfBaseException as error:
            raise RecipeError(f'{path}: {error.full_key}: {str(error).splitlines()[0]}') from None
        assert isinstance(made, cls)
        made._check(path)
        return made

    def _check(self, path: Path) -> None:
        def demand(ok: bool, problem: str) -> None:
            if not ok:
                raise RecipeError(f'{path}: {problem}')

        for value, choices, key in ((self.optimiser.kind, OPTIMISERS, 'optimiser.kind'),
                                    (self.objective, OBJECTIVES, 'objective'),
                                    *((stage.decay, DECAYS, 'stages.decay')
                                      for stage in self.stages)):
            demand(value in choices, f'{key} "{value}" is unknown; choose from '
                                     f'{", ".join(choices)}')
        demand(self.optimiser.vector_factor == 1 or self.optimiser.kind == 'muon',
               'optimiser.vector_factor is for muon: the others have one rate for all')
        demand(bool(self.stages), 'stages is empty; a run needs at least one')
        demand(bool(self.sources), 'sources is empty; a run needs at least one dataset')
        for stage in self.stages:
            demand(all(isinstance(size, list) and len(size) == 2 for size in stage.also),
                   f'stages.also is a list of [height, width], not {stage.also}')
            for sized in stage.by_size():
                demand(min(sized.height, sized.width, sized.batch, sized.steps) > 0,
                       f'a stage of {sized.steps} steps of {sized.batch} images of '
                       f'{sized.height}x{sized.width} is not positive')
        demand(all(s.rate > 0 for s in self.sources), 'a source of rate 0 or less: leave it out')
        demand(self.accumulate >= 1, 'accumulate must be 1 or more')
        demand(0 <= self.ema_decay < 1, 'ema_decay must be in 0 <= x < 1')
        demand((self.teacher is None) == all(e.get('loss') != 'agreement' for e in self.losses),
               'teacher and the loss "agreement" need each other')
        if self.teacher is not None:
            demand(self.teacher.weights is not None or self.ema_decay > 0,
                   'a teacher without weights is the moving average: set ema_decay, or '
                   'teacher.weights to a trained model')
            demand(self.classification is None and self.detection is None,
                   'a teacher is for depth and masks, not for classifiers and detectors')
            demand(0 < self.teacher.zoom <= 1, 'teacher.zoom must be in 0 < x <= 1')
            demand(0 <= self.teacher.flip <= 1, 'teacher.flip must be in 0 <= x <= 1')
        demand(self.objective == 'sum' or self.accumulate == len(self.sources) > 1,
               'objective mgda weighs sources against each other: it needs several, and '
               f'accumulate as many as there are, not {self.accumulate}')


def find_recipe(recipe: str | Path) -> Path:
    """The file of a recipe.

    :raises RecipeError: there is none; the message lists similar names.
    """
    path = Path(recipe)
    if path.is_file():
        return path
    named = CONFIGS / f'{recipe}.yaml'
    if path.name == str(recipe) and named.is_file():
        return named
    known = sorted(p.stem for p in CONFIGS.glob('*.yaml'))
    near = difflib.get_close_matches(path.stem, known, n=4, cutoff=0.4) or known
    raise RecipeError(f'there is no recipe {recipe}; similar: {", ".join(near) or "none"}')


def _override(tree: Any, override: str) -> None:
    key, equals, value = override.partition('=')
    if not equals:
        raise RecipeError(f'"{override}" is not key=value, for example stages.0.batch=4')
    try:
        OmegaConf.update(tree, key, OmegaConf.create(f'value: {value}').value)
    except (OmegaConfBaseException, yaml.YAMLError) as error:
        raise RecipeError(f'{override}: {str(error).splitlines()[0]}') from None

"""Training of image classifiers: folders of images, varied and mixed by timm.

The same loop as for dense models (:class:`engine.Trainer`); other batches, and no card.
"""

from __future__ import annotations

from dense_perception.models import (
    model_entry,  # first: it mends torchvision beside CPU-only torch
)

# isort: split
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from timm.data import Mixup, create_transform
from torch import nn
from torch.utils.data import Dataset
from torchvision.datasets import ImageFolder

from dense_perception.models.inputs import InputSpec
from dense_perception_training.datasets import DatasetError
from dense_perception_training.engine import Trainer
from dense_perception_training.losses import Criterion
from dense_perception_training.recipe import Classification, RecipeError, Source, Stage

IMAGE_FOLDER = 'image_folder'


def open_folder(source: Source) -> ImageFolder:
    """A folder with one folder of images per class, in ``root`` or in ``root``/``split``.

    :raises DatasetError: it is not there or has no images.
    :raises RecipeError: the source is another dataset.
    """
    if source.dataset != IMAGE_FOLDER:
        raise RecipeError(f'a classifier learns from dataset "{IMAGE_FOLDER}", not '
                          f'"{source.dataset}"')
    folder = Path(source.root, source.split or '').expanduser()
    try:
        return ImageFolder(str(folder))
    except FileNotFoundError as error:
        reason = str(error).split('. ')[0]
        raise DatasetError(f'dataset "{IMAGE_FOLDER}": {folder}: {reason}; there must be one '
                           'folder of images for each class') from None


class ImageBatches(Dataset):
    """Item ``step`` is the batch of that step, a function of (seed, step) alone.

    A batch: ``image`` float32 (B, 3, H, W), normalised; ``target`` float32 (B, C), shares that sum
    to 1. Every image once per epoch, in another order each time.

    :raises RecipeError: mixing an odd number of images.
    """

    def __init__(self, folder: ImageFolder, size: tuple[int, int], batch: int,
                 seed: tuple[int, ...], options: Classification, spec: InputSpec) -> None:
        if batch % 2 and (options.mixup or options.cutmix):
            raise RecipeError(f'mixup and cutmix pair the images of a batch; {batch} is odd')
        self._folder, self._batch, self._seed = folder, batch, seed
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, int))  # of one epoch
        self._transform = create_transform(
            size, is_training=True, auto_augment=options.auto_augment or None,
            re_prob=options.erasing, scale=options.scale, interpolation='bicubic',
            mean=spec.mean, std=spec.std)
        self._mix = Mixup(options.mixup, options.cutmix, label_smoothing=options.smoothing,
                          num_classes=len(folder.classes))
        if not options.mixup and not options.cutmix:
            self._mix.mixup_enabled = False  # then it only smooths the labels

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        """See the class."""
        entropy = np.random.SeedSequence([*self._seed, step]).generate_state(1)
        random.seed(int(entropy[0]))  # timm draws from all three
        np.random.seed(entropy)
        torch.manual_seed(int(entropy[0]))
        pairs = [self._sample(step * self._batch + number) for number in range(self._batch)]
        images, targets = self._mix(torch.stack([image for image, _ in pairs]),
                                    torch.tensor([label for _, label in pairs]))
        return {'image': images, 'target': targets}

    def _sample(self, position: int) -> tuple[torch.Tensor, int]:
        epoch, place = divmod(position, len(self._folder))
        if epoch != self._order[0]:
            generator = np.random.default_rng([*self._seed, epoch])
            self._order = epoch, generator.permutation(len(self._folder))
        return read_image(self._folder, int(self._order[1][place]), self._transform)


def read_image(folder: ImageFolder, index: int,
               transform: Callable[[Image.Image], torch.Tensor]) -> tuple[torch.Tensor, int]:
    """One image, transformed, and the number of its class.

    :raises DatasetError: the file is no image.
    """
    path, label = folder.samples[index]
    try:
        return transform(folder.loader(path)), label
    except OSError as error:
        raise DatasetError(f'{path} cannot be read: {error}') from None


class ClassifierTrainer(Trainer):
    """A trainer for models of task ``classification``; see :class:`engine.Trainer`."""

    def _prepare(self, raw: nn.Module) -> None:
        recipe = self.recipe
        if len(recipe.sources) != 1 or recipe.objective != 'sum' or recipe.transforms:
            raise RecipeError('a classifier learns from one source, with objective sum, and takes '
                              '"classification" in place of "transforms"')
        self.options = recipe.classification or Classification()
        self.spec = model_entry(recipe.model.name).input
        self.folder = open_folder(recipe.sources[0])
        classes = getattr(raw, 'config').num_classes  # noqa: B009  of every classifier
        if classes != len(self.folder.classes):
            raise RecipeError(f'the model tells {classes} classes apart, the folders are '
                              f'{len(self.folder.classes)}; set model.options.num_classes')
        self.criterion = Criterion.from_config(recipe.losses)
        self.held_out = [open_folder(source) for source in recipe.validation]

    def _batches(self, stage: Stage, batch: int,
                 seed: tuple[int, ...]) -> Dataset[dict[str, torch.Tensor]]:
        return ImageBatches(self.folder, (stage.height, stage.width), batch, seed, self.options,
                            self.spec)

    def _compute(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return self.criterion(self.model(batch['image']), batch)

    def card(self) -> None:
        """Model files are for dense models."""
        return None

    def _validate(self) -> None:
        if not self.held_out or self.log is None:
            return
        model = self.best()
        training = model.training
        model.eval()
        for number, folder in enumerate(self.held_out):
            scores = self._accuracy(model, folder)
            self.log.scalars(self.step, scores, f'validation{number or ""}')
        model.train(training)

    @torch.inference_mode()
    def _accuracy(self, model: nn.Module, folder: ImageFolder) -> dict[str, float]:
        """Share of evenly picked images whose class is the best, or among the five best."""
        last = self.recipe.stages[-1]
        transform: Any = create_transform(
            (last.height, last.width), crop_pct=self.options.crop_share, interpolation='bicubic',
            mean=self.spec.mean, std=self.spec.std)
        count = min(self.recipe.validation_frames, len(folder))
        ranks = []
        for index in np.linspace(0, len(folder) - 1, count, dtype=int):
            image, label = read_image(folder, int(index), transform)
            logits = model(image[None].to(self.fabric.device))['class_logits'][0]
            ranks.append(int((logits > logits[label]).sum()))
        return {f'top{k}': float(np.mean(np.array(ranks) < k)) for k in (1, 5)}

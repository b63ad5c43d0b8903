"""Training of detectors on data in COCO's format.

The same loop as for dense models (:class:`engine.Trainer`); other batches, the detector's own
losses, and no card.
"""

from __future__ import annotations

import dense_perception.models  # noqa: F401  first: it mends torchvision beside a CPU-only torch

# isort: split
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from dense_perception_training.datasets.coco import Coco
from dense_perception_training.engine import Trainer
from dense_perception_training.losses import Criterion, Term
from dense_perception_training.losses.base import Tensors
from dense_perception_training.recipe import Detection, RecipeError, Source, Stage

COCO = 'coco'
_ATTEMPTS = 20


def open_coco(source: Source) -> Coco:
    """The dataset of a source; its options are those of :class:`Coco`.

    :raises DatasetError: it cannot be read.
    :raises RecipeError: the source is another dataset, or has other options.
    """
    if source.dataset != COCO:
        raise RecipeError(f'a detector learns from dataset "{COCO}", not "{source.dataset}"')
    options: dict[str, Any] = {
        'annotations': f'annotations/instances_{source.split}.json', 'images': source.split,
        **source.options}
    if source.split is None and not {'annotations', 'images'} <= set(source.options):
        raise RecipeError('dataset "coco": give its split (train2017) or the options annotations '
                          'and images')
    try:
        return Coco(Path(source.root).expanduser(), **options)
    except TypeError:
        raise RecipeError(f'dataset "coco" has the options annotations, images and empty, not '
                          f'{sorted(source.options)}') from None


class ObjectBatches(Dataset):
    """Item ``step`` is the batch of that step, a function of (seed, step) alone.

    A batch: ``images``, a list of float32 (3, H, W), RGB in 0..1, all of one size; ``targets``, a
    list of dicts as the detector wants them.
    """

    def __init__(self, coco: Coco, size: tuple[int, int], batch: int, seed: tuple[int, ...],
                 options: Detection, masks: bool) -> None:
        self._coco, self._batch, self._seed, self._masks = coco, batch, seed, masks
        self._vary = v2.Compose([
            v2.ScaleJitter(size, tuple(options.jitter)),
            v2.RandomCrop(size, pad_if_needed=True, fill=0),
            v2.RandomHorizontalFlip(options.flip),
            v2.SanitizeBoundingBoxes(min_size=2, labels_getter=_others)])

    def __getitem__(self, step: int) -> dict[str, list[Any]]:
        """See the class."""
        rng = np.random.default_rng([*self._seed, step])
        torch.manual_seed(int(rng.integers(2 ** 31)))
        pairs = [self._sample(rng) for _ in range(self._batch)]
        return {'images': [image for image, _ in pairs], 'targets': [t for _, t in pairs]}

    def _sample(self, rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """A random image after its variation; another one where no object is left in the crop."""
        for _ in range(_ATTEMPTS):
            objects = self._coco[int(rng.integers(len(self._coco)))]
            image = tv_tensors.Image(torch.from_numpy(objects.image).permute(2, 0, 1))
            target: dict[str, Any] = {
                'boxes': tv_tensors.BoundingBoxes(
                    torch.from_numpy(objects.boxes), format='XYXY',
                    canvas_size=objects.image.shape[:2]),
                'labels': torch.from_numpy(objects.labels)}
            if self._masks:
                target['masks'] = tv_tensors.Mask(torch.from_numpy(objects.masks).byte())
            image, target = self._vary(image, target)
            if len(target['labels']):
                break
        return (image.as_subclass(torch.Tensor).float() / 255,
                {name: value.as_subclass(torch.Tensor) for name, value in target.items()})


def _others(inputs: tuple[Any, dict[str, Any]]) -> list[torch.Tensor]:
    """What goes with a box that is dropped."""
    return [value for name, value in inputs[1].items() if name != 'boxes']


class OwnLosses:
    """The sum of the losses that a detector computes itself."""

    def __call__(self, outputs: Tensors, batch: Tensors) -> torch.Tensor:
        """See the class."""
        return torch.stack(list(outputs.values())).sum()


class DetectorTrainer(Trainer):
    """A trainer for models of task ``detection``; see :class:`engine.Trainer`."""

    def _prepare(self, raw: nn.Module) -> None:
        recipe = self.recipe
        if len(recipe.sources) != 1 or recipe.losses or recipe.transforms or recipe.validation:
            raise RecipeError('a detector learns from one source, brings its own losses, takes '
                              '"detection" in place of "transforms" and has no validation yet')
        self.options = recipe.detection or Detection()
        self.coco = open_coco(recipe.sources[0])
        config: Any = raw.config
        self.criterion = Criterion([Term('detector', OwnLosses())])
        self.masks = config.framework == 'mask_rcnn'
        if config.num_classes != len(self.coco.classes):
            raise RecipeError(f'the model tells {config.num_classes} classes apart, the data has '
                              f'{len(self.coco.classes)}; set model.options.num_classes')

    def _batches(self, stage: Stage, batch: int,
                 seed: tuple[int, ...]) -> Dataset[dict[str, Any]]:
        return ObjectBatches(self.coco, (stage.height, stage.width), batch, seed, self.options,
                             self.masks)

    def _compute(self, batch: dict[str, Any]) -> dict[str, torch.Tensor]:
        losses = self.model(batch['images'], batch['targets'])
        return {**self.criterion(losses, batch), **losses}

    def card(self) -> None:
        """Model files are for dense models."""
        return None

    def _validate(self) -> None:
        pass

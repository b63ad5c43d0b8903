"""What a recipe feeds the network: its datasets as batches, and their class shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from lightning_fabric.utilities import move_data_to_device
from torch.utils.data import Dataset

from dense_perception.inference.card import UNLABELLED
from dense_perception.models.inputs import InputSpec, normalised, with_mount
from dense_perception_training.batches import Batches
from dense_perception_training.datasets import DenseDataset, open_dataset
from dense_perception_training.datasets.mixture import Mixture, Part
from dense_perception_training.recipe import Recipe, Source, Stage
from dense_perception_training.transforms import Chain, Resize
from dense_perception_training.transforms.base import generator

_COUNTED = 200  # samples whose labels are counted for class weights, evenly spread


def open_source(source: Source) -> DenseDataset:
    """Open the dataset of a source.

    :raises DatasetError: it is not there, or has no such split or option.
    """
    return open_dataset(source.dataset, source.root, source.split, **source.options)


def open_mixture(recipe: Recipe, stage: Stage) -> Mixture:
    """The recipe's sources with their transforms, at a stage's own size.

    :raises DatasetError: a source cannot be opened, or they do not go together.
    :raises TransformError: a transform that does not exist.
    """
    size = Resize(stage.height, stage.width)
    parts = []
    for source in recipe.sources:
        chain = Chain.from_config(
            recipe.transforms if source.transforms is None else source.transforms)
        parts.append(Part(open_source(source), source.rate, Chain((*chain.transforms, size))))
    return Mixture(parts, recipe.single_source)


def open_batches(recipe: Recipe, stage: Stage, batch: int, seed: tuple[int, ...],
                 ) -> Dataset[dict[str, torch.Tensor]]:
    """Batches of ``batch`` samples for one process, at a stage's own size; see :class:`Batches`.

    For the objective ``mgda`` they come from the sources in turn.
    """
    if recipe.objective == 'mgda':
        return InTurn([
            Batches(open_mixture(replace(recipe, sources=[source]), stage), batch, (*seed, number),
                    recipe.mount) for number, source in enumerate(recipe.sources)])
    return Batches(open_mixture(recipe, stage), batch, seed, recipe.mount)


class InTurn(Dataset):
    """Batch ``i`` is from source ``i`` modulo the number of sources."""

    def __init__(self, sources: Sequence[Batches]) -> None:
        self._sources = sources

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """See :class:`Batches`."""
        return self._sources[index % len(self._sources)][index // len(self._sources)]


class OfAnySize(Dataset):
    """Batch ``i`` is batch ``i`` of one of several sizes, which follows from (seed, i).

    All processes have the same size at a time, so that none waits for another's larger images.
    """

    def __init__(self, sizes: Sequence[Dataset], seed: int) -> None:
        self._sizes, self._seed = sizes, seed

    def __getitem__(self, index: int) -> Any:
        """See :class:`Batches`."""
        return self._sizes[generator(self._seed, index).integers(len(self._sizes))][index]


def class_weights(recipe: Recipe, classes: int, power: float) -> tuple[float, ...]:
    """Weight of each class: (1 / share of the sources' pixels) ** power, mean 1."""
    counts = np.zeros(classes)
    for source in recipe.sources:
        dataset = open_source(source)
        for index in np.linspace(0, len(dataset) - 1, min(_COUNTED, len(dataset)), dtype=int):
            labels = dataset[int(index)].labels
            if labels is not None:
                counts += np.bincount(labels[labels != UNLABELLED], minlength=classes)[:classes]
    weights = (counts.sum() / np.maximum(counts, 1)) ** power
    return tuple((weights / weights.mean()).tolist())


def to_device(batch: Any, device: torch.device) -> Any:
    """The batch on a device: tensors, and dicts and lists of them."""
    return move_data_to_device(batch, device)


def network_input(batch: dict[str, torch.Tensor], spec: InputSpec,
                  channels: int) -> torch.Tensor:
    """What the network sees of a batch: normalised RGB, and the mount where it takes one."""
    x = normalised(batch['image'], spec.mean, spec.std, spec.brightness)
    if channels > 3:
        x = with_mount(x, batch['intrinsics'], batch['gravity'], batch['known'])
    return x

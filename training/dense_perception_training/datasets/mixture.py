"""Several datasets as one, each at its own rate and with its own transforms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dense_perception.inference.card import ClassInfo
from dense_perception_training.datasets.base import TASKS, DatasetError, DenseDataset
from dense_perception_training.datasets.skipping import Skipping
from dense_perception_training.sample import Sample
from dense_perception_training.transforms import Chain, Transform


@dataclass(frozen=True)
class Part:
    """One dataset of a mixture: its share of the samples (any unit) and its transforms."""

    dataset: DenseDataset
    rate: float = 1.0
    transform: Transform = Chain()


class Mixture:
    """Draws samples from several datasets.

    :param parts: the datasets; samples that cannot be used are skipped, see :class:`Skipping`.
    :param single_source: all samples of one draw come from one dataset.
    :raises DatasetError: there is no part, a rate is not positive, a dataset is empty, masks have
        different classes, or depth and disparity would be mixed.
    """

    def __init__(self, parts: Sequence[Part], single_source: bool = False) -> None:
        if not parts:
            raise DatasetError('a mixture needs at least one dataset')
        rates = np.array([part.rate for part in parts], np.float64)
        if not (np.isfinite(rates) & (rates > 0)).all():
            raise DatasetError(f'the rates of a mixture must be above 0, not {rates.tolist()}')
        for part in parts:
            if not len(part.dataset):
                raise DatasetError(f'dataset "{part.dataset.info.name}" is empty')
        self._datasets = [Skipping(part.dataset) for part in parts]
        self._transforms = [part.transform for part in parts]
        self._rates, self._single_source = rates / rates.sum(), single_source
        infos = [part.dataset.info for part in parts]
        self.tasks = tuple(task for task in TASKS if any(task in info.tasks for info in infos))
        """What at least one of the datasets has truth for."""
        self.classes: tuple[ClassInfo, ...] = _common_classes(
            {info.name: info.classes for info in infos if 'segmentation' in info.tasks})
        """Of the masks; empty without segmentation."""
        self.metric = tuple(info.depth_convention == 'metric' for info in infos)
        """Whether the depth of each part is in metres."""
        if len({info.depth_convention == 'inverse_affine'
                for info in infos if 'depth' in info.tasks}) > 1:
            raise DatasetError('depth and disparity (depth_convention inverse_affine) cannot be '
                               'mixed: larger means farther in one and nearer in the other')

    def __len__(self) -> int:
        """Return the number of different samples."""
        return sum(len(dataset) for dataset in self._datasets)

    @property
    def skipped(self) -> int:
        """How often a sample could not be used, in this process."""
        return sum(dataset.skipped for dataset in self._datasets)

    def draw(self, count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
        """Part and index of ``count`` samples; of each part no sample twice while it has enough.

        The result follows from the generator's seed alone.
        """
        if self._single_source:
            chosen = np.full(count, rng.choice(len(self._rates), p=self._rates))
        else:
            chosen = rng.choice(len(self._rates), count, p=self._rates)
        indices = np.empty(count, np.int64)
        for part, dataset in enumerate(self._datasets):
            slots = chosen == part
            wanted = int(slots.sum())
            indices[slots] = rng.choice(len(dataset), wanted, replace=wanted > len(dataset))
        return [(int(part), int(index)) for part, index in zip(chosen, indices)]

    def sample(self, part: int, index: int, rng: np.random.Generator) -> Sample:
        """A sample of a part after its transforms."""
        return self._transforms[part](self._datasets[part][index], rng)


def _common_classes(classes: dict[str, tuple[ClassInfo, ...]]) -> tuple[ClassInfo, ...]:
    if not classes:
        return ()
    (first, common), *others = classes.items()
    for name, found in others:
        if [c.name for c in found] != [c.name for c in common]:
            raise DatasetError(f'the masks of "{first}" and "{name}" have different classes and '
                               'cannot be mixed')
    return common

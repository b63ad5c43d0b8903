"""What becomes of samples that cannot be used: they are counted, named and replaced."""

from __future__ import annotations

import logging

from dense_perception_training.datasets.base import DatasetError, DatasetInfo, DenseDataset
from dense_perception_training.sample import Sample, SampleError

_LOGGER = logging.getLogger(__name__)


class Skipping:
    """A dataset that gives the next usable sample in place of one that is not.

    Which one is given follows from the number alone, so a resumed run sees what an unbroken one
    would. ``faults``: what was wrong with each unusable sample that was met, by its number;
    ``skipped``: how often one was met. Both count in this process only.

    :param patience: this many unusable samples in a row mean that the dataset is damaged.
    """

    def __init__(self, dataset: DenseDataset, patience: int = 16) -> None:
        self._dataset, self._patience = dataset, patience
        self.faults: dict[int, str] = {}
        self.skipped = 0

    @property
    def info(self) -> DatasetInfo:
        """What the dataset is."""
        return self._dataset.info

    def __len__(self) -> int:
        """Return the number of samples, unusable ones included."""
        return len(self._dataset)

    def __getitem__(self, index: int) -> Sample:
        """Read one sample, or the next that can be used.

        :raises DatasetError: none of the next ``patience`` samples can be used.
        """
        count = min(self._patience, len(self))
        for number in (index, *((index + step) % len(self) for step in range(1, count))):
            try:
                return self._dataset[number]
            except SampleError as error:
                self._note(number, str(error))
        raise DatasetError(f'dataset "{self.info.name}": {count} samples in a row cannot be used, '
                           f'the first is number {index}: {self.faults[index]}')

    def _note(self, index: int, fault: str) -> None:
        if index not in self.faults:
            _LOGGER.warning('sample %d of %s is left out: %s', index, self.info.name, fault)
        self.faults[index] = fault
        self.skipped += 1

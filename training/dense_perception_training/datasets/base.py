"""What every dataset is: a description, a length and samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from dense_perception.inference.card import DEPTH_CONVENTIONS, ClassInfo
from dense_perception.metrics import DepthProtocol
from dense_perception_training.sample import Sample

TASKS = ('depth', 'segmentation', 'normals', 'matting')


class DatasetError(ValueError):
    """A dataset that cannot be opened; the message says what is missing and where to get it."""


@dataclass(frozen=True)
class DatasetInfo:
    """What a dataset is and how results on it are measured.

    ``tasks``: those of :data:`TASKS` that it has truth for. ``splits``: the values that ``split``
    may take; empty = it has none. ``home``: the official site. ``tree``: the files that are
    looked for below the root, one a line. ``protocol``: how depth is compared on it; ``far`` is
    its usual cap. ``depth_convention``: ``metric``, ``affine`` or ``inverse_affine``, as in a
    model card. ``classes``: of the masks, in order of id from 0.
    """

    name: str
    tasks: tuple[str, ...]
    splits: tuple[str, ...]
    home: str
    tree: str
    protocol: DepthProtocol = DepthProtocol()
    depth_convention: str = 'metric'
    classes: tuple[ClassInfo, ...] = ()

    def __post_init__(self) -> None:
        assert set(self.tasks) <= set(TASKS) and self.depth_convention in DEPTH_CONVENTIONS

    def error(self, problem: str) -> DatasetError:
        """The error that says what is wrong, what the folder should look like and who has it."""
        tree = '\n'.join(f'  {line}' for line in self.tree.strip().splitlines())
        return DatasetError(f'dataset "{self.name}": {problem}. It is available from {self.home} '
                            f'and expected like this:\n{tree}')


class DenseDataset(Protocol):
    """Samples by number. Opening one looks at names only; ``[]`` reads the files.

    An instance can be pickled, so that worker processes of a DataLoader get a copy each.
    """

    @property
    def info(self) -> DatasetInfo:
        """What the dataset is."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def __getitem__(self, index: int) -> Sample:
        """Read one sample.

        :raises SampleError: its files cannot be read, do not fit together or hold no truth.
        :raises IndexError: ``index`` is not in 0..len - 1.
        """


class Records:
    """A dataset made of one record per sample and a function that reads a record.

    :param info: what the dataset is. :param records: anything that can be pickled, one a sample.
    :param read: from a record to its sample; a function of a module, or a method of a dataset.
    """

    def __init__(self, info: DatasetInfo, records: list[Any],
                 read: Callable[[Any], Sample]) -> None:
        self.info, self._records, self._read = info, records, read

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._records)

    def __getitem__(self, index: int) -> Sample:
        """See :class:`DenseDataset`."""
        if not 0 <= index < len(self._records):
            raise IndexError(f'dataset "{self.info.name}" has samples 0..{len(self) - 1}, not '
                             f'{index}')
        return self._read(self._records[index]).checked(len(self.info.classes))

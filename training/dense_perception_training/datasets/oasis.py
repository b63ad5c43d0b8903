"""OASIS: photos of the wild with normals drawn by people, in one region each."""

from __future__ import annotations

import csv
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dense_perception_training.datasets.base import DatasetInfo, Records
from dense_perception_training.datasets.listing import probe
from dense_perception_training.datasets.reading import read_image, unit_normals
from dense_perception_training.datasets.registry import register
from dense_perception_training.sample import Sample, UnreadableFileError

INFO = DatasetInfo(
    name='oasis', tasks=('normals',), splits=('train', 'val'),
    home='https://oasis.cs.princeton.edu', tree="""
OASIS_trainval/OASIS_val.csv: columns Image, Normal, ...; no Normal = none was drawn
OASIS_trainval/image/<name>.png
OASIS_trainval/normal/<name>.pkl: min_y, max_y, min_x, max_x and "normal", (h, w, 3), 0 = none""")


@dataclass(frozen=True)
class _Reader:
    axes: tuple[float, ...]

    def __call__(self, row: tuple[Path, Path]) -> Sample:
        """The sample of a row of the list."""
        image = read_image(row[0])
        normals = np.full(image.shape, np.nan, np.float32)
        found = _arrays(row[1])
        try:
            rows = slice(int(found['min_y']), int(found['max_y']) + 1)
            columns = slice(int(found['min_x']), int(found['max_x']) + 1)
            region = np.asarray(found['normal'], np.float32) * np.float32(self.axes)
            normals[rows, columns] = unit_normals(region)
        except (KeyError, TypeError, ValueError) as error:
            raise UnreadableFileError(f'{row[1]} holds no normals of {row[0]}: '
                                      f'{error!r}') from None
        return Sample(image, str(row[0]), normals=normals)


@register(INFO)
def open_oasis(root: Path, split: str,
               normal_axes: tuple[float, ...] = (1, -1, -1)) -> Records:
    """Open the photos of a split that have normals.

    :param normal_axes: signs that turn the files' x, y, z into x right, y down, z forward.
    """
    base = root / 'OASIS_trainval' if (root / 'OASIS_trainval').is_dir() else root
    table = base / f'OASIS_{split}.csv'
    try:
        with table.open(newline='') as lines:
            rows = [(row['Image'].strip(), row['Normal'].strip()) for row in csv.DictReader(lines)]
    except (OSError, KeyError, AttributeError) as error:
        raise INFO.error(f'{table} does not tell image and normals ({error!r})') from None
    # The paths in the list are those of its makers' disk.
    records = [(base / 'image' / Path(image).name, base / 'normal' / Path(normal).name)
               for image, normal in rows if normal]
    if not records:
        raise INFO.error(f'no line of {table} names normals')
    probe([path for record in records for path in record], INFO)
    return Records(INFO, records, _Reader(tuple(normal_axes)))


class _ArraysOnly(pickle.Unpickler):
    """Refuses everything but arrays and numbers: a pickle may otherwise run code."""

    def find_class(self, module: str, name: str) -> Any:
        """See ``pickle.Unpickler``."""
        allowed = {'_reconstruct': np.zeros(0).__reduce__()[0], 'ndarray': np.ndarray,
                   'scalar': np.float64(0).__reduce__()[0], 'dtype': np.dtype}
        if module.split('.')[0] == 'numpy' and name in allowed:
            return allowed[name]
        if (module, name) == ('_codecs', 'encode'):  # bytes, in old protocols
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f'it would run {module}.{name}')


def _arrays(path: Path) -> dict[str, Any]:
    try:
        with path.open('rb') as file:
            found = _ArraysOnly(file, encoding='latin1').load()
    except Exception as error:  # whatever a damaged pickle makes of itself
        raise UnreadableFileError(f'{path} cannot be read: {error}') from None
    if not isinstance(found, dict):
        raise UnreadableFileError(f'{path} holds a {type(found).__name__}, not a table')
    return found

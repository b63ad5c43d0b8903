"""NYU Depth V2's 1449 labelled frames, straight from the official Matlab files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dense_perception.geometry.normals import normals_from_depth
from dense_perception.inference.card import UNLABELLED
from dense_perception.inference.class_sets import class_set
from dense_perception_training.datasets.base import DatasetError, DatasetInfo, Records
from dense_perception_training.datasets.nyu import HOME, PROTOCOL, camera
from dense_perception_training.datasets.reading import needed
from dense_perception_training.datasets.registry import register
from dense_perception_training.sample import Sample, UnreadableFileError

_DATA, _SPLITS, _MAPPING = 'nyu_depth_v2_labeled.mat', 'splits.mat', 'classMapping40.mat'

INFO = DatasetInfo(
    name='nyu_labelled', tasks=('depth', 'segmentation', 'normals'), splits=('train', 'test'),
    home=HOME,
    protocol=PROTOCOL, classes=class_set('nyu40'),
    tree=f"""
{_DATA}: images, depths, rawDepths, labels (HDF5)
{_SPLITS}: trainNdxs (795) and testNdxs (654), from 1
{_MAPPING}: mapClass, from the 894 classes to 40 (Gupta et al. 2013); only for labels""")


@dataclass(frozen=True)
class _Frames:
    path: Path
    depth: str
    to_40: np.ndarray | None
    normals: bool

    def read(self, index: int) -> Sample:
        import h5py
        try:
            with h5py.File(self.path) as file:
                # Matlab's arrays are column by column: everything is transposed.
                image, depth = file['images'][index].T, file[self.depth][index].T
                labels = None if self.to_40 is None else file['labels'][index].T
        except (OSError, KeyError, IndexError) as error:
            raise UnreadableFileError(f'{self.path} frame {index}: {error}') from None
        depth = np.where(depth > 0, depth, np.nan).astype(np.float32)
        k = camera(*depth.shape)
        return Sample(np.ascontiguousarray(image, np.uint8), f'{self.path} frame {index}',
                      depth=depth, labels=None if labels is None else self.to_40[labels],
                      normals=normals_from_depth(depth, k) if self.normals else None,
                      intrinsics=k)


@register(INFO)
def open_nyu_labelled(root: Path, split: str, depth: str = 'raw',
                      labels: bool = False, normals: bool = False) -> Records:
    """Open the labelled frames.

    :param depth: ``raw`` = as measured, with holes; ``filled`` = the holes coloured in.
    :param labels: also give the 40 classes.
    :param normals: also give normals, computed from the depth.
    """
    if depth not in ('raw', 'filled'):
        raise DatasetError(f'dataset "{INFO.name}": depth "{depth}" is neither raw nor filled')
    needed('h5py', INFO.name)
    for name in (_DATA, _SPLITS, *([_MAPPING] if labels else [])):
        if not (root / name).is_file():
            raise INFO.error(f'there is no {root / name}')
    numbers = _matrix(root / _SPLITS, f'{split}Ndxs').ravel().astype(int) - 1
    frames = _Frames(root / _DATA, {'raw': 'rawDepths', 'filled': 'depths'}[depth],
                     _to_40(root / _MAPPING) if labels else None, normals)
    tasks = ('depth', *(['segmentation'] if labels else []), *(['normals'] if normals else []))
    info = replace(INFO, tasks=tasks, classes=INFO.classes if labels else ())
    return Records(info, [int(n) for n in numbers], frames.read)


def _to_40(path: Path) -> np.ndarray:
    """Class 0..894 of the file -> 0..39, or unlabelled."""
    mapping = _matrix(path, 'mapClass').ravel().astype(int)
    table = np.full(mapping.size + 1, UNLABELLED, np.uint8)
    table[1:][mapping > 0] = mapping[mapping > 0] - 1
    return table


def _matrix(path: Path, name: str) -> np.ndarray:
    matlab = needed('scipy.io', INFO.name)
    try:
        return np.asarray(matlab.loadmat(path)[name])
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        raise INFO.error(f'{path} has no "{name}" ({error})') from None

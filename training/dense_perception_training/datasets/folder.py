"""A folder of one's own: pictures and their truth, told apart by patterns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dense_perception.geometry.camera import Intrinsics, IntrinsicsError
from dense_perception.inference.card import DEPTH_CONVENTIONS, UNLABELLED
from dense_perception.inference.class_sets import numbered_classes
from dense_perception.metrics import DepthProtocol
from dense_perception_training.datasets.base import DatasetError, DatasetInfo, Records
from dense_perception_training.datasets.listing import matching, pairs
from dense_perception_training.datasets.reading import (
    needed,
    read_alpha,
    read_depth,
    read_hdf5,
    read_ids,
    read_image,
    read_normals,
    read_npy,
    unit_normals,
)
from dense_perception_training.datasets.registry import register
from dense_perception_training.sample import LabelRangeError, Sample

_TASK_OF = {'depth': 'depth', 'labels': 'segmentation', 'normals': 'normals', 'alpha': 'matting'}

INFO = DatasetInfo(
    name='folder', tasks=(), splits=(), home='you', tree="""
whatever the patterns say; with the usual ones:
rgb/<name>.png (or .jpg, ...)
depth/<name>.png: 16 bit in mm, 0 = unknown (depth="depth/*.png")""")


@dataclass(frozen=True)
class Encoding:
    """How the files hold their values; see :func:`open_folder`."""

    depth_scale: float = 1000.0
    depth_invalid: tuple[float, ...] = (0,)
    hdf5_key: str = 'depth'
    label_offset: int = 0
    label_ignore: tuple[int, ...] = (UNLABELLED,)
    normal_axes: tuple[float, float, float] = (1, 1, 1)
    intrinsics: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class FolderReader:
    """Reads rows of files by role: image, depth, labels, normals, alpha."""

    encoding: Encoding = field(default_factory=Encoding)

    def __call__(self, row: dict[str, Path]) -> Sample:
        """The sample of one row."""
        image = read_image(row['image'])
        truth = {name: getattr(self, f'_{name}')(path)
                 for name, path in row.items() if name != 'image'}
        k = self.encoding.intrinsics
        return Sample(image, str(row['image']), **truth,
                      intrinsics=k and Intrinsics(*k, image.shape[1], image.shape[0]))

    def _depth(self, path: Path) -> np.ndarray:
        encoding = self.encoding
        if path.suffix not in ('.npy', '.h5', '.hdf5'):
            return read_depth(path, encoding.depth_scale, encoding.depth_invalid)
        values = read_npy(path) if path.suffix == '.npy' else read_hdf5(path, encoding.hdf5_key)
        if values.ndim == 3:  # the same depth in three channels, or in one
            values = values.mean(axis=2)
        unknown = np.isin(values, encoding.depth_invalid) | ~np.isfinite(values)
        return np.where(unknown, np.nan, values / encoding.depth_scale).astype(np.float32)

    def _labels(self, path: Path) -> np.ndarray:
        ids = read_ids(path).astype(np.int64)
        ignored = np.isin(ids, self.encoding.label_ignore)
        labels = ids - self.encoding.label_offset
        wrong = ~ignored & ((labels < 0) | (labels >= UNLABELLED))
        if wrong.any():
            raise LabelRangeError(f'{path} holds {ids[wrong][0]}, which is no class (offset '
                                  f'{self.encoding.label_offset})')
        return np.where(ignored, UNLABELLED, labels).astype(np.uint8)

    def _normals(self, path: Path) -> np.ndarray:
        if path.suffix == '.npy':
            return unit_normals(read_npy(path) * np.float32(self.encoding.normal_axes))
        return read_normals(path, self.encoding.normal_axes)

    def _alpha(self, path: Path) -> np.ndarray:
        return read_alpha(path)


@register(INFO)
def open_folder(root: Path, image: str = 'rgb/*', depth: str | None = None,
                labels: str | None = None, normals: str | None = None, alpha: str | None = None,
                depth_scale: float = 1000.0, depth_invalid: Sequence[float] = (0,),
                depth_convention: str = 'metric', hdf5_key: str = 'depth', near: float = 1e-3,
                far: float = 80.0, classes: Sequence[str] = (), label_offset: int = 0,
                label_ignore: Sequence[int] = (UNLABELLED,),
                normal_axes: Sequence[float] = (1, 1, 1),
                intrinsics: Sequence[float] | None = None) -> Records:
    """Open pictures and what of their truth there is.

    In each pattern ``*`` stands for anything within a name and ``**/`` for any folders; files
    whose wildcards stand for the same (after their endings are cut off) belong together.

    :param image, depth, labels, normals, alpha: patterns below ``root``. Depth may be a 16-bit
        picture, .npy or .h5; normals an 8-bit picture (0..255 = -1..1) or .npy; masks and mattes
        are pictures.
    :param depth_scale: file values per metre: 1000 for mm, 1 for metres.
    :param depth_invalid: file values that stand for "unknown".
    :param depth_convention: ``metric``, ``affine`` or ``inverse_affine``.
    :param hdf5_key: name of the array in .h5 files. :param near, far: limits for evaluation.
    :param classes: names of the classes; needed with ``labels``.
    :param label_offset: file value of class 0. :param label_ignore: file values without a class.
    :param normal_axes: signs that turn the files' axes into x right, y down, z forward.
    :param intrinsics: fx, fy, cx, cy in pixels, if all pictures are of one camera and size.
    """
    patterns = {'depth': depth, 'labels': labels, 'normals': normals, 'alpha': alpha}
    patterns = {name: pattern for name, pattern in patterns.items() if pattern}
    if 'labels' in patterns and not classes:
        raise DatasetError('dataset "folder": name the classes of the masks')
    if depth_convention not in DEPTH_CONVENTIONS:
        raise DatasetError(f'dataset "folder": depth_convention "{depth_convention}" is none of '
                           f'{", ".join(DEPTH_CONVENTIONS)}')
    if intrinsics is not None:
        try:
            Intrinsics(*intrinsics, 1, 1)
        except (TypeError, IntrinsicsError) as error:
            raise DatasetError('dataset "folder": intrinsics are four numbers, fx, fy, cx, cy: '
                               f'{error}') from None
    info = replace(INFO, tasks=tuple(_TASK_OF[name] for name in patterns),
                   protocol=DepthProtocol(near, far), depth_convention=depth_convention,
                   classes=numbered_classes(list(classes)))
    reader = FolderReader(Encoding(
        depth_scale, tuple(depth_invalid), hdf5_key, label_offset, tuple(label_ignore),
        tuple(normal_axes), None if intrinsics is None else tuple(intrinsics)))
    return Records(info, file_rows(root, info, image=image, **patterns), reader)


def file_rows(root: Path, info: DatasetInfo, **patterns: str) -> list[dict[str, Path]]:
    """Rows of files by role, whose wildcards stand for the same apart from their endings.

    :raises DatasetError: a pattern matches nothing, or an image has no partner.
    """
    columns = {}
    for role, pattern in patterns.items():
        columns[role] = _by_name(matching(root, pattern, info), pattern, info)
        if any(path.suffix in ('.h5', '.hdf5') for path in columns[role].values()):
            needed('h5py', info.name)
    return pairs(info, **columns)


def _by_name(found: dict[tuple[str, ...], Path], pattern: str,
             info: DatasetInfo) -> dict[tuple[str, ...], Path]:
    """The same files with the ending cut off where the last wildcard stands for it, too."""
    if not pattern.endswith('*'):
        return found
    named: dict[tuple[str, ...], Path] = {}
    for (*others, last), path in found.items():
        key = (*others, last.removesuffix(path.suffix))
        if path.is_file() and named.setdefault(key, path) != path:
            raise info.error(f'{named[key]} and {path} differ in their ending alone; write it '
                             f'into the pattern "{pattern}"')
    return named

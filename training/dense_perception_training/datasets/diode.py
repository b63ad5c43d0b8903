"""DIODE: rooms and streets with dense depth and normals from a laser scanner."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dense_perception.geometry.camera import Intrinsics
from dense_perception.metrics import DepthProtocol
from dense_perception_training.datasets.base import DatasetError, DatasetInfo, Records
from dense_perception_training.datasets.listing import matching
from dense_perception_training.datasets.reading import read_image, read_npy, unit_normals
from dense_perception_training.datasets.registry import register
from dense_perception_training.sample import Sample, UnreadableFileError

_CAMERA = 886.81, 927.06, 512.0, 384.0  # of every 1024x768 picture (intrinsics.txt)
_PLACES = ('indoors', 'outdoor')

INFO = DatasetInfo(
    name='diode', tasks=('depth', 'normals'), splits=('train', 'val'),
    home='https://diode-dataset.org', protocol=DepthProtocol(near=0.6, far=350.0,
                                                             missing='clamped'),
    tree="""
val/indoors/scene_00019/scan_00183/00019_00183_indoors_000_010.png
  and ..._depth.npy: float32 (H, W, 1) in metres, ..._depth_mask.npy: 1 = known
  and ..._normal.npy: float32 (H, W, 3) (from the archive of normals; only for normals)""")


@dataclass(frozen=True)
class _Reader:
    tasks: tuple[str, ...]
    axes: tuple[float, ...]

    def __call__(self, image: Path) -> Sample:
        """The sample of a picture."""
        picture = read_image(image)
        height, width = picture.shape[:2]
        depth = normals = None
        if 'depth' in self.tasks:
            known = _map(image, 'depth_mask')[..., 0] > 0
            depth = np.where(known, _map(image, 'depth')[..., 0], np.nan).astype(np.float32)
            depth[depth <= 0] = np.nan
        if 'normals' in self.tasks:
            normals = unit_normals(_map(image, 'normal') * np.float32(self.axes))
        return Sample(picture, str(image), depth=depth, normals=normals,
                      intrinsics=Intrinsics(*_CAMERA, 1024, 768).resized(width, height))


@register(INFO)
def open_diode(root: Path, split: str, places: tuple[str, ...] = _PLACES,
               tasks: tuple[str, ...] = ('depth',),
               normal_axes: tuple[float, ...] = (1, -1, -1)) -> Records:
    """Open the pictures of a split.

    :param places: ``indoors``, ``outdoor`` or both. :param tasks: ``depth``, ``normals``.
    :param normal_axes: signs that turn the files' x, y, z into x right, y down, z forward.
    """
    for value, known, what in ((places, _PLACES, 'places'), (tasks, INFO.tasks, 'tasks')):
        if not value or not set(value) <= set(known):
            raise DatasetError(f'dataset "{INFO.name}" has the {what} {", ".join(known)}, not '
                               f'{", ".join(value) or "none"}')
    files = [path for place in places
             for path in matching(root / split, f'{place}/*/*/*.png', INFO).values()]
    info = DatasetInfo(**{**vars(INFO), 'tasks': tuple(tasks)})
    return Records(info, files, _Reader(tuple(tasks), tuple(normal_axes)))


def _map(image: Path, what: str) -> np.ndarray:
    path = image.with_name(f'{image.stem}_{what}.npy')
    values = read_npy(path)
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or values.shape[2] != (3 if what == 'normal' else 1):
        raise UnreadableFileError(f'{path} is an array of {values.shape}')
    return values

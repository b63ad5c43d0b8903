"""COCO's photos with the depth that another model has predicted for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dense_perception_training.datasets.base import DatasetError, DatasetInfo, Records
from dense_perception_training.datasets.folder import Encoding, FolderReader, file_rows
from dense_perception_training.datasets.registry import register

_CONVENTIONS = ('affine', 'inverse_affine')

INFO = DatasetInfo(
    name='coco_depth', tasks=('depth',), splits=('train2017', 'val2017'),
    home='https://cocodataset.org (photos; the depth is made by a model of your choice)',
    depth_convention='affine', tree="""
train2017/000000000009.jpg
depth_train2017/000000000009.npy: any scale, NaN = unknown; or .h5 ("depth"), or a 16-bit .png
  with 0 = unknown""")


@register(INFO)
def open_coco_depth(root: Path, split: str, convention: str = 'affine',
                    hdf5_key: str = 'depth') -> Records:
    """Open the photos that have a depth map.

    :param convention: ``affine`` if larger means farther, ``inverse_affine`` if larger is nearer.
    :param hdf5_key: name of the array in .h5 files.
    """
    if convention not in _CONVENTIONS:
        raise DatasetError(f'dataset "{INFO.name}": convention "{convention}" is none of '
                           f'{", ".join(_CONVENTIONS)}; depth made by a model is not metric')
    # Fewer maps than photos are usual: the maps lead.
    rows = file_rows(root, INFO, depth=f'depth_{split}/*', image=f'{split}/*.jpg')
    # A 16-bit picture spans 0..1; floats of no unit are given as they are.
    picture = rows[0]['depth'].suffix == '.png'
    encoding = Encoding(65535.0, (0,), hdf5_key) if picture else Encoding(1.0, (), hdf5_key)
    return Records(replace(INFO, depth_convention=convention), rows, FolderReader(encoding))

"""SUN RGB-D: four sensors, depth in rotated bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dense_perception.metrics import DepthProtocol
from dense_perception_training.datasets.base import DatasetInfo, Records
from dense_perception_training.datasets.listing import probe, read_list
from dense_perception_training.datasets.reading import (
    intrinsics_of,
    needed,
    read_ids,
    read_image,
    read_numbers,
)
from dense_perception_training.datasets.registry import register
from dense_perception_training.sample import Sample, UnreadableFileError

_SPLITS = 'SUNRGBDtoolbox/traintestSUNRGBD/allsplit.mat'

INFO = DatasetInfo(
    name='sunrgbd', tasks=('depth',), splits=('train', 'test'), home='https://rgbd.cs.princeton.edu',
    protocol=DepthProtocol(near=1e-3, far=10.0, missing='clamped'),
    tree=f'''
SUNRGBD/kv1/b3dodata/img_0063/{{image/*.jpg,depth/*.png,intrinsics.txt}}, for each frame
{_SPLITS}: alltrain (5285) and alltest (5050);
  or SUNRGBD_val_splits.txt, a list of the test frames' "RGB DEPTH"''')


@register(INFO)
def open_sunrgbd(root: Path, split: str) -> Records:
    """Open a split by the toolbox's file, or the test split by a list.

    Depth is as measured; the segmentation in the toolbox's Matlab file is not read.
    """
    file_list = root / 'SUNRGBD_val_splits.txt'
    if split == 'test' and file_list.is_file():
        frames = [Path(row[0]).parents[1] for row in read_list(file_list, INFO)]
    elif (root / _SPLITS).is_file():
        frames = _official(root / _SPLITS, split)
    else:
        raise INFO.error(f'nothing tells the {split} split')
    folders = [root / frame for frame in frames]
    probe([folder / 'intrinsics.txt' for folder in folders], INFO)
    return Records(INFO, folders, _read)


def _official(path: Path, split: str) -> list[Path]:
    """Folders such as SUNRGBD/kv2/...: the file has absolute paths of its authors' machine."""
    try:
        cells = needed('scipy.io', INFO.name).loadmat(path)[f'all{split}'].ravel()
        names = [str(cell.item()) for cell in cells]
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        raise INFO.error(f'{path} does not tell the {split} split ({error})') from None
    return [Path(name[name.index('SUNRGBD/'):].rstrip('/')) for name in names]


def _read(folder: Path) -> Sample:
    image = read_image(_only(folder / 'image'))
    path = _only(folder / 'depth')
    values = read_ids(path)
    if values.dtype != np.uint16:
        raise UnreadableFileError(f'{path} is {values.dtype}; depth is a 16-bit picture')
    # The toolbox rotates by three bits (read3dPoints.m); 0 stays 0 and means "no return".
    depth = ((values >> 3) | (values << 13)).astype(np.float32) / np.float32(1000)
    depth[values == 0] = np.nan
    file = folder / 'intrinsics.txt'
    return Sample(image, str(folder), depth=depth,
                  intrinsics=intrinsics_of(read_numbers(file, 3, 3), image, file))


def _only(folder: Path) -> Path:
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    if len(found) != 1:
        raise UnreadableFileError(f'{folder} should hold one file, it holds {len(found)}')
    return found[0]

"""KITTI: the Eigen split by lists, and the depth benchmark's selection."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dense_perception.metrics import DepthProtocol
from dense_perception_training.datasets.base import DatasetInfo, Records
from dense_perception_training.datasets.listing import (
    first_existing,
    matching,
    pairs,
    probe,
    read_pairs,
)
from dense_perception_training.datasets.reading import (
    intrinsics_of,
    read_depth,
    read_image,
    read_numbers,
)
from dense_perception_training.datasets.registry import register
from dense_perception_training.sample import Sample, UnreadableFileError

_SCALE = 256.0  # of the 16-bit PNG, values per metre; 0 = no laser return

INFO = DatasetInfo(
    name='kitti', tasks=('depth',),
    splits=('eigen_train', 'eigen_test', 'benchmark_val', 'benchmark_test'),
    home='https://www.cvlibs.net/datasets/kitti/eval_depth.php',
    protocol=DepthProtocol(near=1e-3, far=80.0, crop='garg', missing='clamped'),
    tree="""
kitti_eigen_{train,test}.txt (or eigen_{train,test}_files_with_gt.txt): lines "RGB DEPTH FOCAL"
input/ (or raw/): 2011_09_26/2011_09_26_drive_0002_sync/image_02/data/0000000069.png
input/2011_09_26/calib_cam_to_cam.txt, for intrinsics
gt_depth/ (or data_depth_annotated/{train,val}/):
  2011_09_26_drive_0002_sync/proj_depth/groundtruth/image_02/0000000069.png, 16 bit in m/256
depth_selection/val_selection_cropped/{image,groundtruth_depth,intrinsics}, for benchmark_val
depth_selection/test_depth_prediction_anonymous/{image,intrinsics}, for benchmark_test""")


@register(INFO)
def open_kitti(root: Path, split: str, file_list: str | None = None) -> Records:
    """Open a split; frames of the list whose depth is "None" are left out.

    Intrinsics are given where their files are. The benchmark's frames are cropped already.

    :param file_list: for the Eigen splits, a list other than the usual ones, relative to ``root``.
    """
    if split.startswith('benchmark'):
        return _benchmark(root, split)
    names = [file_list] if file_list else [f'kitti_{split}.txt', f'{split}_files_with_gt.txt']
    path = first_existing([root / name for name in names], INFO, 'the list of files')
    rows = read_pairs(path, INFO)
    raw = first_existing([root / name / rows[0][0] for name in ('input', 'raw', '')], INFO,
                         'the first image').parents[len(Path(rows[0][0]).parts) - 1]
    drives = {drive.name: drive for name in ('gt_depth', 'data_depth_annotated/train',
                                             'data_depth_annotated/val', 'train', 'val')
              if (root / name).is_dir() for drive in (root / name).iterdir()}
    records = []
    for image, depth in rows:
        drive, _, rest = depth.partition('/')
        if drive not in drives:
            raise INFO.error(f'the depth of drive {drive} is missing')
        date, _, camera, *_ = (*image.split('/'), '', '')
        records.append(_Frame(raw / image, drives[drive] / rest,
                              raw / date / 'calib_cam_to_cam.txt', f'P_rect_{camera[-2:]}'))
    probe([path for record in records for path in (record.image, record.depth)], INFO)
    return Records(INFO, records, _read)


@dataclass(frozen=True)
class _Frame:
    image: Path
    depth: Path | None
    calibration: Path
    projection: str | None  # name of the matrix; None: the file holds K alone


def _benchmark(root: Path, split: str) -> Records:
    name = {'benchmark_val': 'val_selection_cropped',
            'benchmark_test': 'test_depth_prediction_anonymous'}[split]
    folder = first_existing([root / 'depth_selection' / name, root / name], INFO, split)
    info = replace(INFO, protocol=replace(INFO.protocol, crop='none'))
    images = matching(folder, 'image/*.png', INFO)
    # 2011_09_26_drive_0002_sync_image_0000000005_image_02.png, ..._groundtruth_depth_...
    images = {(key.replace('_sync_image_', '_sync_*_'),): path for (key,), path in images.items()}
    columns = {'image': images}
    if split == 'benchmark_val':
        depths = matching(folder, 'groundtruth_depth/*.png', INFO)
        columns['depth'] = {(key.replace('_sync_groundtruth_depth_', '_sync_*_'),): path
                            for (key,), path in depths.items()}
    return Records(info, [_Frame(row['image'], row.get('depth'),
                                 folder / 'intrinsics' / f'{row["image"].stem}.txt', None)
                          for row in pairs(INFO, **columns)], _read)


def _read(frame: _Frame) -> Sample:
    image = read_image(frame.image)
    k = None
    if frame.calibration.exists():
        k = intrinsics_of(_matrix(frame), image, frame.calibration)
    depth = frame.depth and read_depth(frame.depth, _SCALE)
    return Sample(image, str(frame.image), depth=depth, intrinsics=k)


def _matrix(frame: _Frame) -> np.ndarray:
    if frame.projection is None:
        return read_numbers(frame.calibration, 3, 3)
    for line in frame.calibration.read_text().splitlines():
        name, _, values = line.partition(':')
        if name == frame.projection:
            return np.array(values.split(), np.float64).reshape(3, 4)
    raise UnreadableFileError(f'{frame.calibration} has no {frame.projection}')

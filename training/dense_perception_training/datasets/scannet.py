"""RGB-D recordings as ScanNet's reader exports them: color, depth, intrinsic and pose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dense_perception.inference.resize import resize_image
from dense_perception.metrics import DepthProtocol
from dense_perception_training.datasets.base import DatasetInfo, Records
from dense_perception_training.datasets.listing import matching, pairs, read_list
from dense_perception_training.datasets.reading import (
    intrinsics_of,
    read_depth,
    read_image,
    read_numbers,
)
from dense_perception_training.datasets.registry import register
from dense_perception_training.sample import Sample

INFO = DatasetInfo(
    name='scannet', tasks=('depth',), splits=('train', 'val', 'test', 'all'),
    home='http://www.scan-net.org', protocol=DepthProtocol(near=1e-3, far=10.0),
    tree="""
scene0000_00/color/0.jpg, scene0000_00/depth/0.png: 16 bit in mm, 0 = unknown
scene0000_00/intrinsic/intrinsic_depth.txt: 4x4; scene0000_00/pose/0.txt: camera to world, 4x4
scannetv2_{train,val,test}.txt: names of scenes; not needed for split "all"
(the scenes may also lie in scans/; SensReader writes them from the .sens files)""")


@dataclass(frozen=True)
class _Frame:
    image: Path
    depth: Path
    scene: Path


@register(INFO)
def open_scannet(root: Path, split: str, every: int = 1) -> Records:
    """Open the frames of a split.

    The image is brought to the depth map's size, where it is another (1296x968 and 640x480).

    :param every: take one frame in so many.
    """
    base = root / 'scans' if (root / 'scans').is_dir() else root
    if split == 'all':
        scenes = sorted(path.parent for path in base.glob('*/color'))
    else:
        scenes = [base / row[0] for row in read_list(root / f'scannetv2_{split}.txt', INFO)]
    records = []
    for scene in scenes:
        rows = pairs(INFO, image=matching(scene, 'color/*.jpg', INFO),
                     depth=matching(scene, 'depth/*.png', INFO))
        rows.sort(key=lambda row: (len(row['image'].stem), row['image'].stem))  # 2 before 10
        records += [_Frame(row['image'], row['depth'], scene) for row in rows[::every]]
    if not records:
        raise INFO.error(f'there is no scene in {base}')
    return Records(INFO, records, _read)


def _read(frame: _Frame) -> Sample:
    depth = read_depth(frame.depth, 1000.0)
    image = read_image(frame.image)
    if image.shape[:2] != depth.shape:
        image = resize_image(image, *depth.shape, 'linear')
    file = frame.scene / 'intrinsic' / 'intrinsic_depth.txt'
    k = intrinsics_of(read_numbers(file, 4, 4), image, file) if file.exists() else None
    return Sample(image, str(frame.image), depth=depth, intrinsics=k,
                  gravity=_gravity(frame.scene / 'pose' / f'{frame.image.stem}.txt'))


def _gravity(path: Path) -> np.ndarray | None:
    """Down in the camera, if the pose is known; frames that lost track hold infinities."""
    if not path.exists():
        return None
    pose = read_numbers(path, 4, 4)
    if not np.isfinite(pose).all():
        return None
    return pose[:3, :3].T @ np.array([0.0, 0, -1])  # z of the world is up

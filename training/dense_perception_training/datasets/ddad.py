"""DDAD in the layout of PackNet-SfM and GEDepth: depth maps beside the official images."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dense_perception.geometry.rotation import rotation_matrix
from dense_perception.metrics import DepthProtocol
from dense_perception_training.datasets.base import DatasetInfo, Records
from dense_perception_training.datasets.listing import pairs, probe
from dense_perception_training.datasets.reading import intrinsics_of, read_image
from dense_perception_training.datasets.registry import register
from dense_perception_training.sample import Sample, UnreadableFileError

INFO = DatasetInfo(
    name='ddad', tasks=('depth',), splits=('train', 'val'), home='https://github.com/TRI-ML/DDAD',
    protocol=DepthProtocol(near=1e-3, far=200.0, missing='clamped'),
    tree="""
ddad.json: which scenes belong to which split (as downloaded)
000150/rgb/CAMERA_01/15616458296936490.png (as downloaded)
000150/calibration/*.json (as downloaded), for intrinsics, gravity and camera height
000150/depth/CAMERA_01/15616458296936490.npz (or depth/lidar/CAMERA_01/...): "depth" in metres,
  0 = unknown: the LiDAR in the image, written once with the dgp package""")

_SPLIT_KEYS = {'train': '0', 'val': '1'}


@dataclass(frozen=True)
class _Frame:
    image: Path
    depth: Path
    calibration: Path | None
    camera: str


@register(INFO)
def open_ddad(root: Path, split: str, cameras: tuple[str, ...] = ('CAMERA_01',)) -> Records:
    """Open the frames of some cameras; ``CAMERA_01`` looks forward.

    :param cameras: names of folders.
    """
    try:
        scenes = json.loads((root / 'ddad.json').read_text())['scene_splits'][_SPLIT_KEYS[split]]
        names = sorted({name.split('/')[0] for name in scenes['filenames']})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise INFO.error(f'{root / "ddad.json"} does not tell the scenes of split '
                         f'"{split}" ({error})') from None
    records = []
    for scene in (root / name for name in names):
        calibration = next(iter(sorted((scene / 'calibration').glob('*.json'))), None)
        for camera in cameras:
            depth = scene / 'depth' / 'lidar' / camera
            depth = depth if depth.is_dir() else scene / 'depth' / camera
            rows = pairs(INFO, image=_stems(scene / 'rgb' / camera), depth=_stems(depth))
            records += [_Frame(row['image'], row['depth'], calibration, camera) for row in rows]
    if not records:
        raise INFO.error(f'no images of {", ".join(cameras)} in {root}')
    probe([record.depth for record in records], INFO)
    return Records(INFO, records, _read)


def _stems(folder: Path) -> dict[tuple[str, ...], Path]:
    if not folder.is_dir():
        raise INFO.error(f'there is no {folder}')
    return {(path.stem,): path for path in sorted(folder.iterdir())}


def _read(frame: _Frame) -> Sample:
    image = read_image(frame.image)
    try:
        with np.load(frame.depth) as file:
            depth = file['depth'].astype(np.float32)
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise UnreadableFileError(f'{frame.depth}: "depth" cannot be read: {error}') from None
    depth[~(depth > 0)] = np.nan
    if frame.calibration is None:
        return Sample(image, str(frame.image), depth=depth)
    matrix, rotation, height = _camera(frame.calibration, frame.camera)
    # Extrinsics take the camera's points to the vehicle: x forward, y left, z up, from the ground.
    return Sample(image, str(frame.image), depth=depth,
                  intrinsics=intrinsics_of(matrix, image, frame.calibration),
                  gravity=rotation.T @ np.array([0.0, 0, -1]),
                  camera_height=height if height > 0 else None)


def _camera(path: Path, name: str) -> tuple[np.ndarray, np.ndarray, float]:
    """Camera matrix (3, 3), rotation to the vehicle (3, 3) and height above the ground."""
    try:
        data = json.loads(path.read_text())
        at = data['names'].index(name)
        k, pose = data['intrinsics'][at], data['extrinsics'][at]
        rotation = rotation_matrix([pose['rotation'][axis] for axis in ('qx', 'qy', 'qz', 'qw')])
        height = float(pose['translation']['z'])
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise UnreadableFileError(f'{path} has no {name}: {error}') from None
    return np.array([[k['fx'], 0, k['cx']], [0, k['fy'], k['cy']], [0, 0, 1]]), rotation, height

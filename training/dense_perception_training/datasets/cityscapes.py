"""Cityscapes: 19 classes, and depth from the stereo disparity."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dense_perception.geometry.camera import Intrinsics, IntrinsicsError
from dense_perception.inference.card import UNLABELLED
from dense_perception.inference.class_sets import class_set
from dense_perception.metrics import DepthProtocol
from dense_perception_training.datasets.base import DatasetInfo, Records
from dense_perception_training.datasets.listing import matching, pairs
from dense_perception_training.datasets.reading import read_ids, read_image
from dense_perception_training.datasets.registry import register
from dense_perception_training.sample import LabelRangeError, Sample, UnreadableFileError

# labelIds of the 19 evaluated classes, in the order of their trainIds (cityscapesScripts).
_LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
_TRAIN_IDS = np.full(34, UNLABELLED, np.uint8)
_TRAIN_IDS[list(_LABEL_IDS)] = np.arange(len(_LABEL_IDS))

INFO = DatasetInfo(
    name='cityscapes', tasks=('segmentation',), splits=('train', 'val'),
    home='https://www.cityscapes-dataset.com', classes=class_set('cityscapes'),
    protocol=DepthProtocol(near=1e-3, far=80.0),
    tree="""
leftImg8bit/{train,val}/<city>/<city>_000000_000019_leftImg8bit.png
gtFine/{train,val}/<city>/<city>_000000_000019_gtFine_labelIds.png: ids 0..33
disparity/{train,val}/<city>/<city>_000000_000019_disparity.png: 256 d + 1, 0 = unknown; and
camera/{train,val}/<city>/<city>_000000_000019_camera.json; both only for depth""")


@dataclass(frozen=True)
class _Frame:
    image: Path
    labels: Path
    disparity: Path | None = None
    camera: Path | None = None


@register(INFO)
def open_cityscapes(root: Path, split: str, depth: bool = False) -> Records:
    """Open the fine annotations.

    :param depth: also give depth and intrinsics; needs ``disparity`` and ``camera``.
    """
    columns = {'image': f'leftImg8bit/{split}/*/*_leftImg8bit.png',
               'labels': f'gtFine/{split}/*/*_gtFine_labelIds.png'}
    if depth:
        columns |= {'disparity': f'disparity/{split}/*/*_disparity.png',
                    'camera': f'camera/{split}/*/*_camera.json'}
    rows = pairs(INFO, **{name: matching(root, pattern, INFO)
                          for name, pattern in columns.items()})
    info = replace(INFO, tasks=('depth', 'segmentation')) if depth else INFO
    return Records(info, [_Frame(**row) for row in rows], _read)


def _read(frame: _Frame) -> Sample:
    ids = read_ids(frame.labels)
    if ids.max() >= len(_TRAIN_IDS):
        raise LabelRangeError(f'{frame.labels} holds {ids.max()}; labelIds are 0..33 (are these '
                              'instance or colour files?)')
    sample = Sample(read_image(frame.image), str(frame.image), labels=_TRAIN_IDS[ids])
    if frame.camera is None or frame.disparity is None:
        return sample
    camera = _camera(frame.camera)
    values = read_ids(frame.disparity).astype(np.float32)
    known = values > 1  # 1 is a disparity of 0: infinitely far
    disparity = (np.where(known, values, 2) - 1) / np.float32(256)
    focal, baseline = camera['intrinsic']['fx'], camera['extrinsic']['baseline']
    depth = np.where(known, np.float32(focal * baseline) / disparity, np.nan)
    return replace(sample, depth=depth.astype(np.float32),
                   intrinsics=_intrinsics(camera['intrinsic'], sample.size, frame.camera))


def _camera(path: Path) -> dict[str, Any]:
    try:
        camera = json.loads(path.read_text())
        camera['intrinsic']['fx'] * camera['extrinsic']['baseline']
        return camera
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnreadableFileError(f'{path} is no camera file: {error}') from None


def _intrinsics(values: dict[str, float], size: tuple[int, int], path: Path) -> Intrinsics:
    try:
        return Intrinsics(*(float(values[key]) for key in ('fx', 'fy', 'u0', 'v0')),
                          size[1], size[0])
    except (KeyError, IntrinsicsError) as error:
        raise UnreadableFileError(f'{path}: {error}') from None

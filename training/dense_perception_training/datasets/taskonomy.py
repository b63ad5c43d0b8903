"""Taskonomy as the Omnidata tools download it: depth and normals of scanned buildings."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dense_perception.geometry.camera import Intrinsics
from dense_perception.metrics import DepthProtocol
from dense_perception_training.datasets.base import DatasetError, DatasetInfo, Records
from dense_perception_training.datasets.listing import first_existing, matching, pairs
from dense_perception_training.datasets.reading import read_depth, read_image, read_normals
from dense_perception_training.datasets.registry import register
from dense_perception_training.sample import Sample, UnreadableFileError

PARTITIONS = ('tiny', 'medium', 'full', 'fullplus')
_TASKS = {'depth': 'depth_zbuffer', 'normals': 'normal'}

INFO = DatasetInfo(
    name='taskonomy', tasks=('depth', 'normals'), splits=('train', 'val', 'test'),
    home='https://github.com/StanfordVL/taskonomy/tree/master/data',
    protocol=DepthProtocol(near=1e-3, far=128.0),
    tree="""
train_val_test_tiny.csv (or _medium, _full, _fullplus): columns id, train, val, test
rgb/taskonomy/<building>/point_0_view_0_domain_rgb.png
depth_zbuffer/taskonomy/<building>/point_0_view_0_domain_depth_zbuffer.png: 16 bit in m/512,
  65535 = unknown
normal/taskonomy/<building>/point_0_view_0_domain_normal.png: 8 bit, grey = unknown
point_info/taskonomy/<building>/point_0_view_0_domain_point_info.json, for intrinsics
(also without the level "taskonomy")""")


@dataclass(frozen=True)
class _Frame:
    image: Path
    point_info: Path
    depth: Path | None = None
    normals: Path | None = None


@register(INFO)
def open_taskonomy(root: Path, split: str, partition: str = 'tiny',
                   tasks: tuple[str, ...] = ('depth', 'normals')) -> Records:
    """Open the buildings of a split.

    :param partition: ``tiny``, ``medium``, ``full`` or ``fullplus``.
    :param tasks: the truths to read: ``depth``, ``normals``.
    """
    if partition not in PARTITIONS:
        raise DatasetError(f'dataset "{INFO.name}": partition "{partition}" is none of '
                           f'{", ".join(PARTITIONS)}')
    if not tasks or not set(tasks) <= set(_TASKS):
        raise DatasetError(f'dataset "{INFO.name}" has the tasks {", ".join(_TASKS)}, not '
                           f'{", ".join(tasks) or "none"}')
    table = first_existing([root / f'train_val_test_{partition}.csv'], INFO, 'the split')
    with table.open(newline='') as lines:  # newline='': the official files end lines with CR
        buildings = [row['id'] for row in csv.DictReader(lines) if row[split].strip() == '1']
    base = 'taskonomy/' if (root / 'rgb' / 'taskonomy').is_dir() else ''
    records = []
    for building in buildings:
        name = f'{base}{building}/point_*_view_*_domain_'
        name = f'{base}{building}/point_*_view_*_domain_'
        columns = {role: matching(root, f'{kind}/{name}{kind}.png', INFO)
                   for role, kind in (('image', 'rgb'), *((t, _TASKS[t]) for t in tasks))}
        records += [_Frame(point_info=_point_info(row['image']), **row)
                    for row in pairs(INFO, **columns)]
    return Records(replace(INFO, tasks=tuple(tasks)), records, _read)


def _point_info(image: Path) -> Path:
    """Where the camera of an image is described: .../rgb/... -> .../point_info/..."""
    parts = list(image.parts)
    parts[len(parts) - 1 - parts[::-1].index('rgb')] = 'point_info'
    return Path(*parts).with_name(image.name.replace('_rgb.png', '_point_info.json'))


def _read(frame: _Frame) -> Sample:
    image = read_image(frame.image)
    k = _intrinsics(frame.point_info, *image.shape[:2])
    depth = frame.depth and read_depth(frame.depth, 512.0, invalid=(0, 65535))
    normals = None
    if frame.normals is not None:
        normals = towards_camera(read_normals(frame.normals, (1, 1, 1)))
    return Sample(image, str(frame.image), depth=depth, normals=normals, intrinsics=k)


def towards_camera(normals: np.ndarray) -> np.ndarray:
    """Normals with the sign of z that makes most of them face the camera.

    The files' x points right and y down; descriptions disagree on whether z points to the camera.
    """
    away = np.nanmean(normals[..., 2]) > 0 if np.isfinite(normals).any() else False
    return normals * np.float32([1, 1, -1]) if away else normals


def _intrinsics(path: Path, height: int, width: int) -> Intrinsics | None:
    if not path.exists():
        return None
    try:
        field_of_view = float(json.loads(path.read_text())['field_of_view_rads'])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnreadableFileError(f'{path} has no field_of_view_rads: {error}') from None
    focal = width / 2 / math.tan(field_of_view / 2)
    return Intrinsics(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)

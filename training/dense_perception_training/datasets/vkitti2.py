"""Virtual KITTI 2: rendered drives in several kinds of weather."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dense_perception.geometry.camera import Intrinsics
from dense_perception.inference.card import UNLABELLED, ClassInfo
from dense_perception.metrics import DepthProtocol
from dense_perception_training.datasets.base import DatasetError, DatasetInfo, Records
from dense_perception_training.datasets.listing import first_existing, matching, pairs
from dense_perception_training.datasets.reading import read_depth, read_image
from dense_perception_training.datasets.registry import register
from dense_perception_training.sample import LabelRangeError, Sample

_CAMERA = 725.0087, 725.0087, 620.5, 187.0  # of every frame (intrinsic.txt)
_SCENES = ('Scene01', 'Scene02', 'Scene06', 'Scene18', 'Scene20')
_COLOURS = {'terrain': (210, 0, 200), 'sky': (90, 200, 255), 'tree': (0, 199, 0),
            'vegetation': (90, 240, 0), 'building': (140, 140, 140), 'road': (100, 60, 100),
            'guard rail': (250, 100, 255), 'traffic sign': (255, 255, 0),
            'traffic light': (200, 200, 0), 'pole': (255, 130, 0), 'misc': (80, 80, 80),
            'truck': (160, 60, 60), 'car': (255, 127, 80), 'van': (0, 139, 139)}
_CLASSES = tuple(ClassInfo(i, name, colour) for i, (name, colour) in enumerate(_COLOURS.items()))

INFO = DatasetInfo(
    name='vkitti2', tasks=('depth', 'segmentation'), splits=(), classes=_CLASSES,
    home='https://europe.naverlabs.com/research/computer-vision/proxy-virtual-worlds-vkitti-2',
    protocol=DepthProtocol(near=1e-3, far=80.0),
    tree="""
Scene01/clone/frames/rgb/Camera_0/rgb_00000.jpg
Scene01/clone/frames/depth/Camera_0/depth_00000.png: 16 bit in cm, 65535 = sky
Scene01/clone/frames/classSegmentation/Camera_0/classgt_00000.png: colours; only for masks
(each archive may also lie in a folder of its name: vkitti_2.0.3_rgb/Scene01/..., ...)""")


@dataclass(frozen=True)
class _Frame:
    image: Path
    depth: Path
    labels: Path | None = None


@register(INFO)
def open_vkitti2(root: Path, scenes: tuple[str, ...] = _SCENES, variation: str = '*',
                 camera: str = '*', masks: bool = False) -> Records:
    """Open some scenes; there is no official split.

    :param variation: such as ``clone``, ``fog``, ``15-deg-left``; ``*`` = all.
    :param camera: ``0`` = left, ``1`` = right; ``*`` = both. :param masks: also give classes.
    """
    files = {'image': ('rgb', 'rgb_*.jpg'), 'depth': ('depth', 'depth_*.png')}
    if masks:
        files['labels'] = 'classSegmentation', 'classgt_*.png'
    unknown = sorted(set(scenes) - set(_SCENES))
    if unknown or not scenes:
        raise DatasetError(f'dataset "{INFO.name}" has the scenes {", ".join(_SCENES)}, not '
                           f'{", ".join(unknown) or "none"}')
    records: list[_Frame] = []
    for scene in scenes:
        columns = {}
        for role, (kind, name) in files.items():
            base = first_existing([root / f'vkitti_2.0.3_{kind}' / scene, root / scene], INFO,
                                  f'{kind} of {scene}').parent
            # The wildcards have to stand for something also where a value is given.
            found = matching(base, f'{scene}/*/frames/{kind}/Camera_*/{name}', INFO)
            columns[role] = {key: path for key, path in found.items()
                             if variation in ('*', key[0]) and camera in ('*', key[1])}
        records += [_Frame(**row) for row in pairs(INFO, **columns)]
    if not records:
        raise INFO.error(f'no frames of variation "{variation}" and camera "{camera}" in {root}')
    info = INFO if masks else replace(INFO, tasks=('depth',), classes=())
    return Records(info, records, _read)


def _read(frame: _Frame) -> Sample:
    image = read_image(frame.image)
    depth = read_depth(frame.depth, 100.0, invalid=(0, 65535))
    return Sample(image, str(frame.image), depth=depth,
                  labels=frame.labels and _labels(frame.labels),
                  intrinsics=Intrinsics(*_CAMERA, image.shape[1], image.shape[0]))


def _labels(path: Path) -> np.ndarray:
    """Class ids of the colours of a file; black is "undefined"."""
    colours = read_image(path).astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    labels = np.full(colours.shape, UNLABELLED, np.uint8)
    known = colours == 0
    for info in _CLASSES:
        red, green, blue = info.colour
        here = colours == (red << 16 | green << 8 | blue)
        labels[here] = info.id
        known |= here
    if not known.all():
        raise LabelRangeError(f'{path} holds the colour #{int(colours[~known][0]):06x}, which is '
                              'no class of Virtual KITTI 2')
    return labels

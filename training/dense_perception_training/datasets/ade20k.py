"""ADE20K as in the scene parsing benchmark: 150 classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dense_perception.inference.class_sets import class_set
from dense_perception_training.datasets.base import DatasetInfo, Records
from dense_perception_training.datasets.listing import matching, pairs
from dense_perception_training.datasets.reading import read_ids, read_image
from dense_perception_training.datasets.registry import register
from dense_perception_training.sample import LabelRangeError, Sample

_CLASSES = 150

INFO = DatasetInfo(
    name='ade20k', tasks=('segmentation',), splits=('training', 'validation'),
    home='http://sceneparsing.csail.mit.edu', classes=class_set('ade20k'),
    tree="""
images/{training,validation}/ADE_train_00000001.jpg
annotations/{training,validation}/ADE_train_00000001.png: 0 = other, 1..150 = the classes""")


@register(INFO)
def open_ade20k(root: Path, split: str) -> Records:
    """Open ``root`` (ADEChallengeData2016)."""
    rows = pairs(INFO, image=matching(root, f'images/{split}/*.jpg', INFO),
                 annotation=matching(root, f'annotations/{split}/*.png', INFO))
    return Records(INFO, [(row['image'], row['annotation']) for row in rows], _read)


def _read(files: tuple[Path, Path]) -> Sample:
    ids = read_ids(files[1])
    if ids.max() > _CLASSES:
        raise LabelRangeError(f'{files[1]} holds {ids.max()}; ids are 0..{_CLASSES}')
    # 0 becomes 255, unlabelled; k becomes k - 1.
    return Sample(read_image(files[0]), str(files[0]), labels=ids.astype(np.uint8) - np.uint8(1))

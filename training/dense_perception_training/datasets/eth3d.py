"""ETH3D's training scenes: photos with depth from a laser scanner."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dense_perception.metrics import DepthProtocol
from dense_perception_training.datasets.base import DatasetInfo, Records
from dense_perception_training.datasets.listing import matching, pairs
from dense_perception_training.datasets.reading import read_floats, read_image
from dense_perception_training.datasets.registry import register
from dense_perception_training.sample import Sample

INFO = DatasetInfo(
    name='eth3d', tasks=('depth',), splits=(), home='https://www.eth3d.net/datasets',
    protocol=DepthProtocol(near=1e-3, far=72.0, missing='clamped'),
    tree="""
courtyard/images/dslr_images/DSC_0286.JPG (multi_view_training_dslr_jpg)
courtyard/ground_truth_depth/dslr_images/DSC_0286.JPG (multi_view_training_dslr_depth): no
  picture but float32 in metres, row by row, of the photo's size; infinity = unknown""")


@register(INFO)
def open_eth3d(root: Path) -> Records:
    """Open the photos that have depth, of all scenes.

    They are distorted (THIN_PRISM_FISHEYE), and so is the depth: there are no intrinsics.
    """
    # Not every photo has depth: the depth maps lead.
    rows = pairs(INFO, depth=matching(root, '*/ground_truth_depth/dslr_images/*.JPG', INFO),
                 image=matching(root, '*/images/dslr_images/*.JPG', INFO))
    return Records(INFO, rows, _read)


def _read(row: dict[str, Path]) -> Sample:
    image = read_image(row['image'])
    depth = read_floats(row['depth'], *image.shape[:2])
    depth[~np.isfinite(depth) | (depth <= 0)] = np.nan
    return Sample(image, str(row['image']), depth=depth)

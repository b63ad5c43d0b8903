"""iBims-1: a hundred rooms with depth from a laser scanner, for evaluation only."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dense_perception.geometry.camera import Intrinsics, IntrinsicsError
from dense_perception.metrics import DepthProtocol
from dense_perception_training.datasets.base import DatasetInfo, Records
from dense_perception_training.datasets.listing import first_existing, probe, read_list
from dense_perception_training.datasets.reading import read_depth, read_ids, read_image
from dense_perception_training.datasets.registry import register
from dense_perception_training.sample import Sample, UnreadableFileError

_FARTHEST = 50.0  # metres, of value 65535

INFO = DatasetInfo(
    name='ibims1', tasks=('depth',), splits=(), protocol=DepthProtocol(near=1e-3, far=50.0),
    home='https://www.asg.ed.tum.de/lmf/ibims1/', tree="""
imagelist.txt: names such as corridor_01 (beside ibims1_core_raw or in it)
ibims1_core_raw/rgb/corridor_01.png, ibims1_core_raw/depth/corridor_01.png: 16 bit, m * 65535/50
ibims1_core_raw/mask_invalid/corridor_01.png and mask_transp/...: 0 = depth does not count
ibims1_core_raw/calib/corridor_01.txt: fx,fy,cx,cy; may be missing""")


@register(INFO)
def open_ibims1(root: Path, transparent: bool = False) -> Records:
    """Open all pictures.

    :param transparent: count depth of glass, too (``mask_transp``).
    """
    names = [row[0] for row in read_list(first_existing(
        [folder / 'imagelist.txt' for folder in (root, root / 'ibims1_core_raw', root.parent)],
        INFO, 'the list of names'), INFO)]
    base = root / 'ibims1_core_raw' if (root / 'ibims1_core_raw').is_dir() else root
    masks = ('mask_invalid',) if transparent else ('mask_invalid', 'mask_transp')
    probe([base / kind / f'{name}.png' for name in names for kind in ('rgb', 'depth', *masks)],
          INFO)
    return Records(INFO, [(base, name, masks) for name in names], _read)


def _read(record: tuple[Path, str, tuple[str, ...]]) -> Sample:
    base, name, masks = record
    image = read_image(base / 'rgb' / f'{name}.png')
    depth = read_depth(base / 'depth' / f'{name}.png', 65535 / _FARTHEST)
    for mask in masks:
        counts = read_ids(base / mask / f'{name}.png')
        if counts.shape != depth.shape:
            raise UnreadableFileError(f'{base / mask / name}.png has another size than the depth')
        depth[counts == 0] = np.nan
    return Sample(image, str(base / 'rgb' / f'{name}.png'), depth=depth,
                  intrinsics=_intrinsics(base / 'calib' / f'{name}.txt', image))


def _intrinsics(path: Path, image: np.ndarray) -> Intrinsics | None:
    if not path.exists():
        return None
    try:
        fx, fy, cx, cy = (float(word) for word in path.read_text().replace(',', ' ').split()[:4])
        return Intrinsics(fx, fy, cx, cy, image.shape[1], image.shape[0])
    except (OSError, ValueError, IntrinsicsError) as error:
        raise UnreadableFileError(f'{path} should hold fx,fy,cx,cy: {error}') from None

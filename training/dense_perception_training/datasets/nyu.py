"""NYU Depth V2 as BTS and its followers lay it out: JPEG, 16-bit PNG and lists of them."""

from __future__ import annotations

from pathlib import Path

from dense_perception.geometry.camera import Intrinsics
from dense_perception.metrics import DepthProtocol
from dense_perception_training.datasets.base import DatasetInfo, Records
from dense_perception_training.datasets.listing import first_existing, probe, read_pairs
from dense_perception_training.datasets.reading import read_depth, read_image
from dense_perception_training.datasets.registry import register
from dense_perception_training.sample import Sample

PROTOCOL = DepthProtocol(near=1e-3, far=10.0, crop='eigen_nyu', missing='clamped')
HOME = 'https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html'

# The colour camera, from the dataset's toolbox (camera_params.m).
_CAMERA = 518.85790117450188, 519.46961112127485, 325.58244941119034, 253.73616633400465

INFO = DatasetInfo(
    name='nyu', tasks=('depth',), splits=('train', 'test'), home=HOME, protocol=PROTOCOL,
    tree="""
nyu_train.txt, nyu_test.txt (or nyudepthv2_{train,test}_files_with_gt.txt): lines "RGB DEPTH FOCAL"
<scene>/rgb_00045.jpg and <scene>/sync_depth_00045.png: 640x480, depth 16 bit in mm, 0 = unknown
(the scenes may also lie in sync/, train/, test/ or official_splits/test/)""")


@register(INFO)
def open_nyu(root: Path, split: str, file_list: str | None = None) -> Records:
    """Open by a list of files.

    :param file_list: a list other than the usual ones, relative to ``root``.
    """
    names = [file_list] if file_list else [f'nyu_{split}.txt',
                                           f'nyudepthv2_{split}_files_with_gt.txt']
    path = first_existing([root / name for name in names], INFO, 'the list of files')
    rows = read_pairs(path, INFO)
    folders = [root / name for name in ('', 'sync', split, f'official_splits/{split}')]
    base = first_existing([folder / rows[0][0] for folder in folders], INFO, 'the first image')
    base = base.parents[len(Path(rows[0][0]).parts) - 1]
    records = [(base / image, base / depth) for image, depth in rows]
    probe([path for record in records for path in record], INFO)
    return Records(INFO, records, _read)


def _read(files: tuple[Path, Path]) -> Sample:
    image, depth = read_image(files[0]), read_depth(files[1], 1000.0)
    return Sample(image, str(files[0]), depth=depth, intrinsics=camera(*image.shape[:2]))


def camera(height: int, width: int) -> Intrinsics:
    """The colour camera at 640x480, or of the same view at another size."""
    return Intrinsics(*_CAMERA, 640, 480).resized(width, height)

"""Outdoor depth datasets in tiny trees of their true formats."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('mujoco', reason='the training package needs mujoco')

from dense_perception_training.datasets import (
    DatasetError,
    LabelRangeError,
    SizeMismatchError,
    UnreadableFileError,
    open_dataset,
)
from helpers.pictures import damage, plain, ramp, write_picture

from dense_perception.geometry.camera import Intrinsics

DRIVE = '2011_09_26_drive_0002_sync'
CALIBRATION = """calib_time: 09-Jan-2012 13:57:47
P_rect_02: 7.2e+02 0 6.0e+00 4.4e+01 0 7.1e+02 4.5e+00 2.1e-01 0 0 1 2.7e-03
P_rect_03: 7.3e+02 0 6.5e+00 -3.3e+02 0 7.1e+02 4.5e+00 2.1e+00 0 0 1 3.7e-03
"""


def write_kitti(root: Path, raw: str, depth: str) -> Path:
    """Three listed frames, the second without depth, and the values of the first's depth."""
    lines = []
    for number, camera in ((5, '02'), (6, '02'), (7, '03')):
        name = f'image_{camera}/data/{number:010d}.png'
        write_picture(root / raw / f'2011_09_26/{DRIVE}/{name}', plain(10, 16, (number, 2, 3)))
        target = f'{DRIVE}/proj_depth/groundtruth/image_{camera}/{number:010d}.png'
        if number != 6:
            write_picture(root / depth / target, ramp(10, 16, 256 * number))
        lines.append(f'2011_09_26/{DRIVE}/{name} {"None" if number == 6 else target} 721.5377')
    (root / 'kitti_eigen_test.txt').write_text('\n'.join(lines))
    (root / raw / '2011_09_26/calib_cam_to_cam.txt').write_text(CALIBRATION)
    return root


@pytest.mark.parametrize(('raw', 'depth'), [('input', 'gt_depth'),
                                            ('raw', 'data_depth_annotated/val')])
def test_kitti_eigen(tmp_path: Path, raw: str, depth: str):
    dataset = open_dataset('kitti', write_kitti(tmp_path, raw, depth), 'eigen_test')
    assert len(dataset) == 2
    first, last = dataset[0], dataset[1]
    assert (first.image == (5, 2, 3)).all() and (last.image == (7, 2, 3)).all()
    np.testing.assert_array_equal(first.depth, (ramp(10, 16, 1280) / 256).astype(np.float32))
    assert first.intrinsics == Intrinsics(720, 710, 6, 4.5, 16, 10)
    assert last.intrinsics == Intrinsics(730, 710, 6.5, 4.5, 16, 10)
    protocol = dataset.info.protocol
    assert (protocol.near, protocol.far, protocol.crop) == (1e-3, 80.0, 'garg')


def test_kitti_says_what_is_missing(tmp_path: Path):
    with pytest.raises(DatasetError, match='(?s)list of files is missing.*cvlibs.net.*input/'):
        open_dataset('kitti', tmp_path, 'eigen_test')
    write_kitti(tmp_path, 'input', 'gt_depth')
    (tmp_path / 'gt_depth' / DRIVE).rename(tmp_path / 'elsewhere')
    with pytest.raises(DatasetError, match=f'the depth of drive {DRIVE} is missing'):
        open_dataset('kitti', tmp_path, 'eigen_test')
    (tmp_path / 'none.txt').write_text(f'2011_09_26/{DRIVE}/image_02/data/5.png None 721')
    with pytest.raises(DatasetError, match='no line of .*none.txt names an image and its depth'):
        open_dataset('kitti', tmp_path, 'eigen_test', file_list='none.txt')
    (tmp_path / 'elsewhere').rename(tmp_path / 'gt_depth' / DRIVE)
    next(tmp_path.glob('gt_depth/*/proj_depth/*/image_03/*.png')).unlink()
    with pytest.raises(DatasetError, match='1 of 4 listed files .* missing, the first is .*03/'):
        open_dataset('kitti', tmp_path, 'eigen_test')


def test_kitti_benchmark_selection(tmp_path: Path):
    folder = tmp_path / 'depth_selection/val_selection_cropped'
    name = f'{DRIVE}_image_0000000008_image_02'
    write_picture(folder / f'image/{name}.png', plain(8, 12))
    values = ramp(8, 12)
    write_picture(folder / f'groundtruth_depth/{name.replace("_image_", "_*_", 1)}.png'.replace(
        '*', 'groundtruth_depth'), values)
    (folder / 'intrinsics').mkdir()
    (folder / f'intrinsics/{name}.txt').write_text('721.5 0 596.5 0 721.6 149.8 0 0 1')
    dataset = open_dataset('kitti', tmp_path, 'benchmark_val')
    sample = dataset[0]
    assert np.isnan(sample.depth[0, 0]) and sample.depth[0, 1] == np.float32(1 / 256)
    assert sample.intrinsics == Intrinsics(721.5, 721.6, 596.5, 149.8, 12, 8)
    assert dataset.info.protocol.crop == 'none'
    test = tmp_path / 'depth_selection/test_depth_prediction_anonymous'
    write_picture(test / 'image/0000000000.png', plain(8, 12))
    unlabelled = open_dataset('kitti', tmp_path, 'benchmark_test')[0]
    assert unlabelled.depth is None and unlabelled.intrinsics is None


def test_broken_kitti_files_are_named(tmp_path: Path):
    dataset = open_dataset('kitti', write_kitti(tmp_path, 'input', 'gt_depth'), 'eigen_test')
    depth = next(tmp_path.glob('gt_depth/*/proj_depth/*/image_02/*.png'))
    image = next(tmp_path.glob(f'input/*/{DRIVE}/image_02/data/*5.png'))
    write_picture(depth, ramp(9, 16))
    with pytest.raises(SizeMismatchError, match='depth is 16x9, the image 16x10'):
        dataset[0]
    write_picture(depth, ramp(10, 16).astype(np.uint8))
    with pytest.raises(UnreadableFileError, match='5.png is uint8 .*; depth is a 16-bit'):
        dataset[0]
    write_picture(image, np.random.default_rng(0).integers(0, 256, (10, 16, 3), dtype=np.uint8))
    damage(image)
    with pytest.raises(UnreadableFileError, match='data/0000000005.png cannot be read'):
        dataset[0]
    image.write_text('no picture')
    with pytest.raises(UnreadableFileError, match='is no picture'):
        dataset[0]
    image.unlink()
    with pytest.raises(UnreadableFileError, match='cannot be read: .*No such file'):
        dataset[0]
    (tmp_path / 'input/2011_09_26/calib_cam_to_cam.txt').write_text('P_rect_00: 1 2 3')
    with pytest.raises(UnreadableFileError, match='has no P_rect_03'):
        dataset[1]


def test_ddad(tmp_path: Path):
    (tmp_path / 'ddad.json').write_text(json.dumps({'scene_splits': {
        '0': {'filenames': ['000000/scene_ab.json']},
        '1': {'filenames': ['000150/scene_cd.json']}}}))
    scene = tmp_path / '000150'
    values = np.linspace(0, 250, 48).reshape(6, 8).astype(np.float32)
    for stamp in ('15616458296936490', '15616458297936490'):
        write_picture(scene / f'rgb/CAMERA_01/{stamp}.png', plain(6, 8))
        (scene / 'depth/lidar/CAMERA_01').mkdir(parents=True, exist_ok=True)
        np.savez_compressed(scene / f'depth/lidar/CAMERA_01/{stamp}.npz', depth=values)
    # Looking ahead and 0.1 rad down from 1.56 m: optical axes in the vehicle (x ahead, z up).
    c, s = np.cos(0.05), np.sin(0.05)
    ahead = np.array([0.5, -0.5, 0.5, -0.5])  # x, y, z, w of (right, down, ahead) = (-y, -z, x)
    down = np.array([0, s, 0, c])
    (scene / 'calibration').mkdir()
    (scene / 'calibration/ef.json').write_text(json.dumps({
        'names': ['LIDAR', 'CAMERA_01'],
        'intrinsics': [{}, {'fx': 2180.0, 'fy': 2181.0, 'cx': 928.0, 'cy': 615.0, 'skew': 0}],
        'extrinsics': [{}, {
            'translation': {'x': 1.8, 'y': 0.0, 'z': 1.56},
            'rotation': dict(zip(('qx', 'qy', 'qz', 'qw'), product(down, ahead).tolist()))}]}))
    dataset = open_dataset('ddad', tmp_path, 'val')
    assert len(dataset) == 2 and dataset.info.protocol.far == 200.0
    sample = dataset[0]
    assert np.isnan(sample.depth[0, 0])
    np.testing.assert_array_equal(sample.depth.ravel()[1:], values.ravel()[1:])
    assert sample.intrinsics == Intrinsics(2180, 2181, 928, 615, 8, 6)
    np.testing.assert_allclose(sample.gravity, [0, np.cos(0.1), np.sin(0.1)], atol=1e-9)
    assert sample.camera_height == 1.56
    np.savez(scene / 'depth/lidar/CAMERA_01/15616458296936490.npz', other=values)
    with pytest.raises(UnreadableFileError, match='"depth" cannot be read'):
        dataset[0]
    with pytest.raises(DatasetError, match='there is no .*CAMERA_05.*DDAD'):
        open_dataset('ddad', tmp_path, 'val', cameras=('CAMERA_05',))
    (tmp_path / 'ddad.json').write_text('{}')
    with pytest.raises(DatasetError, match='does not tell the scenes of split "val"'):
        open_dataset('ddad', tmp_path, 'val')


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Quaternion (x, y, z, w) of first ``b``, then ``a``."""
    return np.array([*(a[3] * b[:3] + b[3] * a[:3] + np.cross(a[:3], b[:3])),
                     a[3] * b[3] - a[:3] @ b[:3]])


def write_vkitti2(root: Path, folders: dict[str, str]) -> None:
    for sequence, camera, number in (('Scene01/clone', 0, 0), ('Scene01/clone', 1, 0),
                                     ('Scene01/fog', 0, 3), ('Scene20/clone', 0, 1)):
        base = f'{sequence}/frames'
        write_picture(root / folders['rgb'] / base / f'rgb/Camera_{camera}/rgb_{number:05d}.jpg',
                      plain(6, 10))
        depth = ramp(6, 10, 100)
        depth[0, 0] = 65535
        write_picture(root / folders['depth'] / base
                      / f'depth/Camera_{camera}/depth_{number:05d}.png', depth)
        colours = plain(6, 10, (100, 60, 100))
        colours[0, 0], colours[0, 1], colours[5, 9] = (90, 200, 255), (0, 0, 0), (0, 139, 139)
        write_picture(root / folders['labels'] / base
                      / f'classSegmentation/Camera_{camera}/classgt_{number:05d}.png', colours)


@pytest.mark.parametrize('folders', [
    {'rgb': '', 'depth': '', 'labels': ''},
    {'rgb': 'vkitti_2.0.3_rgb', 'depth': 'vkitti_2.0.3_depth',
     'labels': 'vkitti_2.0.3_classSegmentation'}])
def test_vkitti2(tmp_path: Path, folders: dict[str, str]):
    write_vkitti2(tmp_path, folders)
    dataset = open_dataset('vkitti2', tmp_path, scenes=('Scene01', 'Scene20'), masks=True)
    assert len(dataset) == 4
    sample = dataset[0]
    assert np.isnan(sample.depth[0, 0]) and sample.depth[0, 1] == np.float32(1.01)
    assert sample.intrinsics == Intrinsics(725.0087, 725.0087, 620.5, 187, 10, 6)
    names = [c.name for c in dataset.info.classes]
    assert names[sample.labels[2, 2]] == 'road' and names[sample.labels[0, 0]] == 'sky'
    assert sample.labels[0, 1] == 255 and names[sample.labels[5, 9]] == 'van'
    np.testing.assert_allclose(sample.image, plain(6, 10), atol=3)
    left = open_dataset('vkitti2', tmp_path, scenes=('Scene01',), variation='clone', camera='0')
    assert len(left) == 1 and left[0].labels is None and left.info.tasks == ('depth',)


def test_vkitti2_refuses_what_it_does_not_know(tmp_path: Path):
    write_vkitti2(tmp_path, {'rgb': '', 'depth': '', 'labels': ''})
    with pytest.raises(DatasetError, match='has the scenes Scene01, .*, not Scene03'):
        open_dataset('vkitti2', tmp_path, scenes=('Scene03',))
    with pytest.raises(DatasetError, match='rgb of Scene02 is missing.*naverlabs'):
        open_dataset('vkitti2', tmp_path)
    with pytest.raises(DatasetError, match='no frames of variation "snow"'):
        open_dataset('vkitti2', tmp_path, scenes=('Scene01',), variation='snow')
    dataset = open_dataset('vkitti2', tmp_path, scenes=('Scene20',), masks=True)
    write_picture(next(tmp_path.glob('Scene20/*/frames/classSegmentation/*/*.png')),
                  plain(6, 10, (1, 2, 3)))
    with pytest.raises(LabelRangeError, match='#010203, which is no class'):
        dataset[0]

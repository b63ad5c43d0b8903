"""Datasets of masks, mattes and made depth, a folder of one's own, a bag."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import cv2
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
from helpers.bags import COMPRESSED, IMAGE, INFO, camera_info, compressed, image, write_bag
from helpers.pictures import damage, plain, ramp, write_picture
from helpers.plane_bag import CAMERA, MOUNT, write_plane_bag
from PIL import Image

from dense_perception.geometry.camera import Intrinsics


def test_ade20k(tmp_path: Path):
    ids = np.arange(151, dtype=np.uint8).repeat(2).reshape(1, 302)
    write_picture(tmp_path / 'images/validation/ADE_val_00000001.jpg', plain(1, 302))
    path = write_picture(tmp_path / 'annotations/validation/ADE_val_00000001.png', ids)
    dataset = open_dataset('ade20k', tmp_path, 'validation')
    expected = np.concatenate([[255], np.arange(150)]).repeat(2)
    assert dataset[0].labels[0].tolist() == expected.tolist()
    assert (len(dataset.info.classes), dataset.info.classes[2].name) == (150, 'sky')
    ids[0, 0] = 151
    write_picture(path, ids)
    with pytest.raises(LabelRangeError, match='holds 151; ids are 0..150'):
        dataset[0]
    write_picture(path, plain(1, 302))
    with pytest.raises(UnreadableFileError, match='is a colour picture; a mask has one channel'):
        dataset[0]
    path.unlink()
    write_picture(tmp_path / 'annotations/validation/ADE_val_00000002.png', ids)
    with pytest.raises(DatasetError, match='(?s)1 of 1 image files have no annotation.*csail'):
        open_dataset('ade20k', tmp_path, 'validation')
    with pytest.raises(DatasetError, match='has the splits training, validation, not "train"'):
        open_dataset('ade20k', tmp_path, 'train')


def test_orientation_tags_and_palettes_do_not_change_pixels(tmp_path: Path):
    write_picture(tmp_path / 'annotations/training/a.png', np.ones((4, 6), np.uint8))
    turned = Image.fromarray(plain(4, 6))
    exif = turned.getexif()
    exif[0x0112] = 6  # "turn by 90 degrees", which OpenCV would do
    (tmp_path / 'images/training').mkdir(parents=True)
    turned.save(tmp_path / 'images/training/a.jpg', exif=exif)
    palette = Image.fromarray(np.full((4, 6), 7, np.uint8), 'P')
    palette.putpalette(list(range(30)))
    palette.save(tmp_path / 'annotations/training/a.png')
    sample = open_dataset('ade20k', tmp_path, 'training')[0]
    assert sample.size == (4, 6) and (sample.labels == 6).all()


def test_cityscapes(tmp_path: Path):
    name = 'train/aachen/aachen_000000_000019_'
    ids = np.full((6, 40), 7, np.uint8)
    ids[0, :34] = np.arange(34)
    values = np.full((6, 40), 256 * 20 + 1, np.uint16)
    values[0, :3] = 0, 1, 2
    write_picture(tmp_path / f'leftImg8bit/{name}leftImg8bit.png', plain(6, 40))
    mask = write_picture(tmp_path / f'gtFine/{name}gtFine_labelIds.png', ids)
    dataset = open_dataset('cityscapes', tmp_path, 'train')
    sample = dataset[0]
    names = [c.name for c in dataset.info.classes]
    assert (len(names), names[sample.labels[3, 3]]) == (19, 'road')
    assert names[sample.labels[0, 24]] == 'person' and names[sample.labels[0, 33]] == 'bicycle'
    assert (sample.labels[0, [0, 6, 9, 10, 14, 15, 16, 18, 29, 30]] == 255).all()
    assert sorted(set(sample.labels[0]) - {255}) == list(range(19)) and sample.depth is None

    with pytest.raises(DatasetError, match='no file below .*disparity'):
        open_dataset('cityscapes', tmp_path, 'train', depth=True)
    write_picture(tmp_path / f'disparity/{name}disparity.png', values)
    camera = tmp_path / f'camera/{name}camera.json'
    camera.parent.mkdir(parents=True)
    camera.write_text(json.dumps({
        'extrinsic': {'baseline': 0.2, 'pitch': 0.03, 'z': 1.2},
        'intrinsic': {'fx': 2262.5, 'fy': 2265.3, 'u0': 1097.0, 'v0': 513.1}}))
    sample = open_dataset('cityscapes', tmp_path, 'train', depth=True)[0]
    assert np.isnan(sample.depth[0, :2]).all()
    assert sample.depth[0, 2] == pytest.approx(0.2 * 2262.5 * 256)
    assert sample.depth[3, 3] == pytest.approx(0.2 * 2262.5 / 20)
    assert sample.intrinsics == Intrinsics(2262.5, 2265.3, 1097.0, 513.1, 40, 6)
    camera.write_text('{}')
    with pytest.raises(UnreadableFileError, match='camera.json is no camera file'):
        open_dataset('cityscapes', tmp_path, 'train', depth=True)[0]
    write_picture(mask, np.full((6, 40), 40, np.uint8))
    with pytest.raises(LabelRangeError, match='holds 40; labelIds are 0..33'):
        dataset[0]


def test_p3m10k(tmp_path: Path):
    alpha = np.linspace(0, 255, 24).reshape(4, 6).astype(np.uint8)
    for folder, images in (('train', 'blurred_image'), ('validation/P3M-500-P', 'blurred_image'),
                           ('validation/P3M-500-NP', 'original_image')):
        write_picture(tmp_path / folder / images / 'p_1.jpg', plain(4, 6))
        write_picture(tmp_path / folder / 'mask/p_1.png', alpha)
    for split in ('train', 'val_p', 'val_np'):
        sample = open_dataset('p3m10k', tmp_path, split)[0]
        np.testing.assert_array_equal(sample.alpha, (alpha / np.float32(255)).astype(np.float32))
    assert (sample.alpha.min(), sample.alpha.max()) == (0, 1)


@pytest.mark.parametrize('kind', ['npy', 'h5', 'png'])
def test_coco_with_made_depth(tmp_path: Path, kind: str):
    if kind == 'h5':
        pytest.importorskip('h5py', reason='the maps are HDF5')
    values = np.linspace(0.1, 0.9, 24).reshape(4, 6).astype(np.float32)
    for number in (9, 25):  # more photos than maps
        write_picture(tmp_path / f'train2017/{number:012d}.jpg', plain(4, 6))
    path = tmp_path / f'depth_train2017/000000000009.{kind}'
    if kind == 'png':
        write_picture(path, (values * 65535).astype(np.uint16))
    else:
        path.parent.mkdir()
        if kind == 'npy':
            np.save(path, values)
        else:
            import h5py
            with h5py.File(path, 'w') as file:
                file['depth'] = np.repeat(values[..., None], 3, 2)
    dataset = open_dataset('coco_depth', tmp_path, 'train2017', convention='inverse_affine')
    assert len(dataset) == 1 and dataset.info.depth_convention == 'inverse_affine'
    np.testing.assert_allclose(dataset[0].depth, values, atol=2e-5)
    with pytest.raises(DatasetError, match='"metric" is none of affine'):
        open_dataset('coco_depth', tmp_path, 'train2017', convention='metric')
    damage(path, 0.4)
    with pytest.raises(UnreadableFileError, match='000000000009'):
        dataset[0]


def write_folder(root: Path) -> None:
    for scene, number in (('a', 1), ('b', 1), ('b', 2)):
        write_picture(root / f'{scene}/rgb/{number}_color.jpg', plain(4, 6))
        depth = ramp(4, 6, 1000 * number)
        depth[0, 0] = 7
        write_picture(root / f'{scene}/depth/{number}_depth.png', depth)
        write_picture(root / f'{scene}/mask/{number}.png',
                      np.array([[1, 2, 3, 0, 9, 1]] * 4, np.uint8))
        normals = np.tile(np.uint8([128, 128, 255]), (4, 6, 1))
        write_picture(root / f'{scene}/normal/{number}.png', normals)


def test_folder(tmp_path: Path):
    write_folder(tmp_path)
    dataset = open_dataset(
        'folder', tmp_path, image='*/rgb/*_color.jpg', depth='*/depth/*_depth.png',
        labels='*/mask/*.png', normals='*/normal/*.png', depth_scale=5000,
        depth_invalid=[0, 7], far=20.0, classes=['floor', 'wall', 'box'], label_offset=1,
        label_ignore=[0, 9], normal_axes=[1, -1, -1], intrinsics=[500, 501, 3, 2])
    assert len(dataset) == 3 and dataset.info.tasks == ('depth', 'segmentation', 'normals')
    sample = dataset[2]
    assert sample.source.endswith('b/rgb/2_color.jpg')
    assert np.isnan(sample.depth[0, 0]) and sample.depth[0, 1] == np.float32(2001 / 5000)
    assert sample.labels[0].tolist() == [0, 1, 2, 255, 255, 0]
    np.testing.assert_allclose(sample.normals[0, 0], [0, 0, -1], atol=0.01)
    assert sample.intrinsics == Intrinsics(500, 501, 3, 2, 6, 4)
    assert dataset.info.classes[1].name == 'wall' and dataset.info.protocol.far == 20
    copy = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(copy[1].depth, dataset[1].depth)


def test_folder_says_what_does_not_fit(tmp_path: Path):
    write_folder(tmp_path)
    for options, message in (
            ({'image': 'rgb/all.png'}, r'"rgb/all.png" has no \*'),
            ({'image': 'rgb/*'}, 'no file below .* matches "rgb/\\*"'),
            ({'image': '*/rgb/*.jpg', 'depth': '*/depth/*.png'},
             '3 of 3 image files have no depth'),
            ({'image': '*/rgb/*.jpg', 'labels': '*/mask/*.png'}, 'name the classes'),
            ({'image': '*/rgb/*.jpg', 'depth_convention': 'inverse'}, 'none of metric'),
            ({'image': '*/rgb/*.jpg', 'intrinsics': [1, 2, 3]}, 'intrinsics are four numbers'),
            ({'image': '*/rgb/*.jpg', 'intrinsics': [0, 2, 3, 4]}, 'must be positive')):
        with pytest.raises(DatasetError, match=message):
            open_dataset('folder', tmp_path, **options)
    masks = open_dataset('folder', tmp_path, image='*/rgb/*_color.jpg', labels='*/mask/*.png',
                         classes=['x'] * 20, label_offset=1, label_ignore=[])
    with pytest.raises(LabelRangeError, match='holds 0, which is no class .offset 1.'):
        masks[0]
    few = open_dataset('folder', tmp_path, image='*/rgb/*_color.jpg', labels='*/mask/*.png',
                       classes=['x', 'y'])
    with pytest.raises(LabelRangeError, match='class 9, but the dataset has 2 classes'):
        few[0]
    (tmp_path / 'c').mkdir()
    for ending in ('png', 'jpg'):
        write_picture(tmp_path / f'c/1.{ending}', plain(4, 6))
    with pytest.raises(DatasetError, match='differ in their ending alone'):
        open_dataset('folder', tmp_path, image='c/*')


def test_folder_reads_arrays(tmp_path: Path):
    write_picture(tmp_path / 'rgb/a.b.png', plain(2, 3))
    depth = np.array([[1.5, 0, np.inf], [2, -1, np.nan]])
    normals = np.tile([0.0, 0.0, 2.0], (2, 3, 1))
    normals[0, 0] = 0
    for name, values in (('depth', depth), ('normals', normals)):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / 'a.b.npy', values)
    sample = open_dataset('folder', tmp_path, depth='depth/*', normals='normals/*',
                          depth_scale=1.0, depth_invalid=[0, -1])[0]
    np.testing.assert_array_equal(sample.depth, np.float32([[1.5, np.nan, np.nan],
                                                            [2, np.nan, np.nan]]))
    assert np.isnan(sample.normals[0, 0]).all() and sample.normals[1, 1].tolist() == [0, 0, 1]


@pytest.fixture(scope='module')
def bag(tmp_path_factory) -> Path:
    return write_plane_bag(tmp_path_factory.mktemp('bag') / 'drive', frames=30)


def test_bag(bag: Path):
    dataset = open_dataset('bag', bag, classes=['ground', 'patch'], far=30.0)
    assert len(dataset) == 30 and dataset.info.tasks == ('depth', 'segmentation')
    travelled = pickle.loads(pickle.dumps(dataset))
    for index in (0, 29, 13):  # in any order, in any process
        for sample in (dataset[index], travelled[index]):
            np.testing.assert_array_equal(sample.depth, MOUNT.ground_depth(CAMERA))
            left = 2 * ((7 * index) % 50)
            assert (sample.labels[60:100, left:left + 40] == 1).all()
            assert (sample.image[60:100, left:left + 40] == (230, 30, 30)).all()
            assert sample.labels.sum() == 1600 and sample.intrinsics == CAMERA
            np.testing.assert_allclose(sample.gravity, MOUNT.down)
            assert sample.camera_height == MOUNT.height
    assert len(open_dataset('bag', bag, classes=['a', 'b'], every=7)) == 5


def test_bag_refuses(bag: Path, tmp_path: Path):
    with pytest.raises(DatasetError, match='has masks; name their classes'):
        open_dataset('bag', bag)
    with pytest.raises(LabelRangeError, match='class 1, but the dataset has 1 classes'):
        open_dataset('bag', bag, classes=['ground'])[3]
    (tmp_path / 'metadata.yaml').write_text('rosbag2_bagfile_information: {}')
    with pytest.raises(DatasetError, match='(?s)no readable rosbag2 bag.*ros2 bag record'):
        open_dataset('bag', tmp_path)


def write_rgbd_bag(path: Path, colour: tuple[int, int], depth: tuple[int, int],
                   d: tuple[float, ...] = (0.0,) * 5) -> Path:
    """One CameraInfo at the beginning, then JPEG colour and 16UC1 depth, as robots record."""
    messages = [('/color/camera_info', INFO,
                 camera_info(0, colour, [30.0, 0, 15.5, 0, 31, 11.5, 0, 0, 1], d))]
    for number in range(1, 4):
        _, jpeg = cv2.imencode('.jpg', plain(*colour, (60 * number, 30, 30))[..., ::-1])
        values = np.full(depth, 1000 * number, np.uint16)
        values[0, 0] = 0
        messages += [('/color/compressed', COMPRESSED,
                      compressed(number * 10**9, jpeg.ravel(), 'jpeg')),
                     ('/depth/image', IMAGE, image(number * 10**9, values, '16UC1')),
                     ('/unused', IMAGE, image(number * 10**9, values, '16UC1'))]
    return write_bag(path, *messages, period_ns=100_000_000)


def test_a_bag_of_a_distorting_lens_says_so_once(tmp_path: Path, caplog):
    dataset = open_dataset('bag', write_rgbd_bag(tmp_path / 'wide', (24, 32), (24, 32),
                                                 (-0.3, 0.1, 0, 0, 0)))
    assert dataset[0].intrinsics == dataset[1].intrinsics == Intrinsics(30, 31, 15.5, 11.5, 32, 24)
    assert [r.message for r in caplog.records if 'plumb_bob' in r.message] == [
        f'bag {tmp_path / "wide"}: the lens distorts the image (plumb_bob) and is taken for a '
        'pinhole; record rectified images']


def test_bag_of_a_depth_camera(tmp_path: Path):
    dataset = open_dataset('bag', write_rgbd_bag(tmp_path / 'd435', (24, 32), (12, 16)))
    assert len(dataset) == 3 and dataset.info.tasks == ('depth',)
    sample = dataset[2]
    assert np.isnan(sample.depth[0, 0]) and sample.depth[5, 5] == pytest.approx(3.0)
    np.testing.assert_allclose(sample.image[5, 5], (180, 30, 30), atol=3)
    assert sample.intrinsics == Intrinsics(30, 31, 15.5, 11.5, 32, 24).resized(16, 12)
    assert sample.gravity is None and sample.labels is None
    other = open_dataset('bag', write_rgbd_bag(tmp_path / 'wide', (24, 32), (12, 24)))
    with pytest.raises(SizeMismatchError, match='depth is 24x12, the image 32x24'):
        other[0]

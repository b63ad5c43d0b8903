"""Indoor datasets in tiny trees of their true formats."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('mujoco', reason='the training package needs mujoco')

from dense_perception_training.datasets import (
    DatasetError,
    LabelRangeError,
    NoTruthError,
    UnreadableFileError,
    open_dataset,
)
from dense_perception_training.datasets.taskonomy import towards_camera
from helpers.pictures import damage, plain, ramp, write_picture

from dense_perception.geometry.camera import Intrinsics

FOCAL = 518.85790117450188


@pytest.mark.parametrize(('file_list', 'folder', 'slash'), [
    ('nyu_train.txt', '', '/'), ('nyudepthv2_train_files_with_gt.txt', 'sync', '')])
def test_nyu(tmp_path: Path, file_list: str, folder: str, slash: str):
    lines = []
    for number in (45, 7):
        scene = 'kitchen_0028b'
        image, depth = f'{scene}/rgb_{number:05d}.jpg', f'{scene}/sync_depth_{number:05d}.png'
        write_picture(tmp_path / folder / image, plain(480, 640, (number, 90, 30)))
        write_picture(tmp_path / folder / depth, np.tile(ramp(1, 640, number), (480, 1)))
        lines.append(f'{slash}{image} {slash}{depth} 518.8579')
    (tmp_path / file_list).write_text('\n'.join(lines) + '\n')
    dataset = open_dataset('nyu', tmp_path, 'train')
    assert len(dataset) == 2  # in the order of the list
    sample = dataset[0]
    assert sample.depth[0, 100] == np.float32(0.145) and np.isfinite(sample.depth).all()
    assert sample.intrinsics.fx == FOCAL and sample.intrinsics.cy == 253.73616633400465
    np.testing.assert_allclose(sample.image[9, 9], (45, 90, 30), atol=2)
    protocol = dataset.info.protocol
    assert (protocol.near, protocol.far, protocol.crop) == (1e-3, 10.0, 'eigen_nyu')


def test_nyu_depth_that_is_nowhere_and_lists_that_are_not_there(tmp_path: Path):
    with pytest.raises(DatasetError, match='(?s)list of files is missing.*nyu_test.txt'):
        open_dataset('nyu', tmp_path, 'test')
    (tmp_path / 'nyu_test.txt').write_text('a/rgb.jpg a/depth.png 518\n')
    with pytest.raises(DatasetError, match='first image is missing.*official_splits/test/a/rgb'):
        open_dataset('nyu', tmp_path, 'test')
    (tmp_path / 'mine.txt').write_text('')
    with pytest.raises(DatasetError, match='mine.txt is empty'):
        open_dataset('nyu', tmp_path, 'test', file_list='mine.txt')
    write_picture(tmp_path / 'a/rgb.jpg', plain(48, 64))
    write_picture(tmp_path / 'a/depth.png', np.zeros((48, 64), np.uint16))
    dataset = open_dataset('nyu', tmp_path, 'test')
    with pytest.raises(NoTruthError, match='rgb.jpg: no pixel has depth'):
        dataset[0]
    write_picture(tmp_path / 'a/depth.png', ramp(48, 64))
    assert dataset[0].intrinsics.fx == pytest.approx(FOCAL / 10)
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    damage(write_picture(tmp_path / 'a/rgb.jpg', noise), 0.9)
    with pytest.raises(UnreadableFileError, match='a/rgb.jpg cannot be read: .*truncated'):
        dataset[0]


def test_nyu_labelled(tmp_path: Path):
    h5py = pytest.importorskip('h5py', reason='the labelled frames are HDF5')
    matlab = pytest.importorskip('scipy.io', reason='splits and classes are Matlab files')
    rng = np.random.default_rng(0)
    # Matlab's arrays are column by column: (frame, channel, column, row) in HDF5.
    images = rng.integers(0, 256, (4, 3, 8, 6), dtype=np.uint8)
    depths = rng.uniform(0.7, 9, (4, 8, 6)).astype(np.float32)
    raw = depths.copy()
    raw[:, 2, 3] = 0
    labels = rng.integers(0, 5, (4, 8, 6)).astype(np.uint16)
    labels[:, :5, 0] = np.arange(5)
    with h5py.File(tmp_path / 'nyu_depth_v2_labeled.mat', 'w') as file:
        for name, values in (('images', images), ('depths', depths), ('rawDepths', raw),
                             ('labels', labels)):
            file[name] = values
    with pytest.raises(DatasetError, match='(?s)there is no .*splits.mat.*trainNdxs'):
        open_dataset('nyu_labelled', tmp_path, 'test')
    matlab.savemat(tmp_path / 'splits.mat', {'trainNdxs': [[1], [2], [4]], 'testNdxs': [[3]]})
    matlab.savemat(tmp_path / 'classMapping40.mat', {'mapClass': [[40, 3, 0, 38]]})
    train = open_dataset('nyu_labelled', tmp_path, 'train', labels=True)
    assert len(train) == 3 and len(train.info.classes) == 40
    sample = train[2]  # number 4
    np.testing.assert_array_equal(sample.image, images[3].transpose(2, 1, 0))
    assert np.isnan(sample.depth[3, 2]) and np.isfinite(sample.depth).sum() == 47
    np.testing.assert_array_equal(sample.depth[0], depths[3, :, 0])
    assert sample.labels[0, :5].tolist() == [255, 39, 2, 255, 37]
    test = open_dataset('nyu_labelled', tmp_path, 'test', depth='filled')
    assert test.info.tasks == ('depth',) and test[0].labels is None
    np.testing.assert_array_equal(test[0].depth, depths[2].T)
    flat = open_dataset('nyu_labelled', tmp_path, 'test', depth='filled', normals=True)
    assert flat.info.tasks == ('depth', 'normals') and flat[0].normals.shape == (6, 8, 3)
    with pytest.raises(DatasetError, match='"inpainted" is neither raw nor filled'):
        open_dataset('nyu_labelled', tmp_path, 'test', depth='inpainted')
    damage(tmp_path / 'nyu_depth_v2_labeled.mat', 0.5)
    with pytest.raises(UnreadableFileError, match='nyu_depth_v2_labeled.mat frame 2'):
        test[0]


def write_sunrgbd(root: Path, frame: str, metres: np.ndarray) -> None:
    millimetres = np.round(1000 * metres).astype(np.uint16)
    rotated = (millimetres << 3) | (millimetres >> 13)  # what the toolbox turns back
    write_picture(root / frame / 'image/0000103.jpg', plain(*metres.shape))
    write_picture(root / frame / 'depth/0000103.png', rotated)
    (root / frame / 'intrinsics.txt').write_text('529.5 0.0 365.0 \n0.0 529.5 265.0 \n0 0 1')


def test_sunrgbd(tmp_path: Path):
    matlab = pytest.importorskip('scipy.io', reason='the official split is a Matlab file')
    metres = np.linspace(0.5, 9.5, 48).reshape(6, 8)
    metres[1, 1] = 0
    frames = ['SUNRGBD/kv2/kinect2data/000002_x-resize', 'SUNRGBD/xtion/sun3ddata/a/b/0001']
    for frame in frames:
        write_sunrgbd(tmp_path, frame, metres)
    with pytest.raises(DatasetError, match='nothing tells the test split.*rgbd.cs.princeton'):
        open_dataset('sunrgbd', tmp_path, 'test')
    (tmp_path / 'SUNRGBDtoolbox/traintestSUNRGBD').mkdir(parents=True)
    cells = np.empty((1, 1), object)
    cells[0, 0] = f'/n/fs/sun3d/data/{frames[1]}/'
    matlab.savemat(tmp_path / 'SUNRGBDtoolbox/traintestSUNRGBD/allsplit.mat',
                   {'alltrain': cells, 'alltest': cells})
    (tmp_path / 'SUNRGBD_val_splits.txt').write_text(
        f'{frames[0]}/image/0000103.jpg {frames[0]}/depth/0000103.png\n')
    for split, frame in (('test', frames[0]), ('train', frames[1])):
        dataset = open_dataset('sunrgbd', tmp_path, split)
        sample = dataset[0]
        assert len(dataset) == 1 and frame in sample.source
        assert np.isnan(sample.depth[1, 1])
        known = metres > 0
        np.testing.assert_allclose(sample.depth[known], metres[known], atol=6e-4)
        assert sample.intrinsics == Intrinsics(529.5, 529.5, 365, 265, 8, 6)
    write_picture(tmp_path / frames[1] / 'depth/other.png', ramp(6, 8))
    with pytest.raises(UnreadableFileError, match='should hold one file, it holds 2'):
        dataset[0]


def test_scannet(tmp_path: Path):
    scene = tmp_path / 'scans/scene0000_00'
    for number in (0, 2, 10):
        write_picture(scene / f'color/{number}.jpg', plain(24, 32, (20 * number, 9, 9)))
        write_picture(scene / f'depth/{number}.png', ramp(12, 16))
        pose = np.eye(4)
        # The camera stands upright and looks along the world's y: down is its y axis.
        pose[:3, :3] = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
        if number == 2:
            pose[:] = -np.inf
        (scene / 'pose').mkdir(exist_ok=True)
        np.savetxt(scene / f'pose/{number}.txt', pose)
    (scene / 'intrinsic').mkdir()
    np.savetxt(scene / 'intrinsic/intrinsic_depth.txt',
               [[577, 0, 318, 0], [0, 578, 242, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    everything = open_dataset('scannet', tmp_path, 'all')
    assert [everything[i].source.rsplit('/', 1)[1] for i in range(3)] == ['0.jpg', '2.jpg',
                                                                          '10.jpg']
    sample = everything[2]
    assert sample.size == (12, 16) and sample.depth[0, 5] == np.float32(0.005)
    np.testing.assert_allclose(sample.image[3, 3], (200, 9, 9), atol=2)
    assert sample.intrinsics == Intrinsics(577, 578, 318, 242, 16, 12)
    np.testing.assert_allclose(sample.gravity, [0, 1, 0], atol=1e-12)
    assert everything[1].gravity is None
    (tmp_path / 'scannetv2_val.txt').write_text('scene0000_00\n')
    assert len(open_dataset('scannet', tmp_path, 'val', every=2)) == 2
    with pytest.raises(DatasetError, match='scannetv2_train.txt.*scan-net.org'):
        open_dataset('scannet', tmp_path, 'train')


def write_taskonomy(root: Path, level: str) -> np.ndarray:
    (root / 'train_val_test_tiny.csv').write_bytes(b'id,train,val,test\rhanson,1,0,0\rihlen,0,0,1')
    normals = np.zeros((8, 8, 3))
    normals[...] = [0.6, 0, -0.8]
    normals[4:] = [0, -1, 0]
    picture = np.round((normals + 1) * 127.5).astype(np.uint8)
    picture[0, 0] = 128
    name = 'point_0_view_3_domain_'
    depth = ramp(8, 8, 512)
    depth[7, 7] = 65535
    for kind, pixels in (('rgb', plain(8, 8)), ('depth_zbuffer', depth), ('normal', picture)):
        write_picture(root / kind / level / 'hanson' / f'{name}{kind}.png', pixels)
    info = root / 'point_info' / level / 'hanson' / f'{name}point_info.json'
    info.parent.mkdir(parents=True)
    info.write_text(json.dumps({'field_of_view_rads': np.pi / 2, 'resolution': 8}))
    return normals


@pytest.mark.parametrize('level', ['taskonomy', ''])
def test_taskonomy(tmp_path: Path, level: str):
    normals = write_taskonomy(tmp_path, level)
    dataset = open_dataset('taskonomy', tmp_path, 'train')
    assert len(dataset) == 1 and dataset.info.tasks == ('depth', 'normals')
    sample = dataset[0]
    assert sample.depth[0, 0] == 1.0 and np.isnan(sample.depth[7, 7])
    assert np.isnan(sample.normals[0, 0]).all()
    np.testing.assert_allclose(sample.normals[1:], normals[1:], atol=0.01)
    np.testing.assert_allclose(np.linalg.norm(sample.normals[1:], axis=2), 1, atol=1e-6)
    k = sample.intrinsics
    assert (k.fx, k.cx) == (pytest.approx(4.0), 3.5)
    assert len(open_dataset('taskonomy', tmp_path, 'train', tasks=('depth',))) == 1
    with pytest.raises(DatasetError, match='"huge" is none of tiny'):
        open_dataset('taskonomy', tmp_path, 'train', partition='huge')
    with pytest.raises(DatasetError, match='has the tasks depth, normals, not masks'):
        open_dataset('taskonomy', tmp_path, 'train', tasks=('masks',))
    with pytest.raises(DatasetError, match='no file below .*ihlen'):
        open_dataset('taskonomy', tmp_path, 'test')


def test_normals_are_turned_towards_the_camera_in_either_encoding():
    normals = np.tile(np.float32([0.6, 0, -0.8]), (4, 4, 1))
    normals[0, 0] = np.nan
    np.testing.assert_array_equal(towards_camera(normals), normals)
    np.testing.assert_array_equal(towards_camera(normals * np.float32([1, 1, -1])), normals)


@pytest.fixture(scope='module')
def hypersim(tmp_path_factory) -> Path:
    """Two frames of a wall 2 m ahead; the second is not published."""
    h5py = pytest.importorskip('h5py', reason='Hypersim is HDF5')
    root = tmp_path_factory.mktemp('hypersim')
    u, v = np.meshgrid(np.arange(1024) - 511.5, np.arange(768) - 383.5)
    distance = 2 * np.sqrt(u ** 2 + v ** 2 + 886.81 ** 2) / 886.81
    distance[0, 0] = np.nan
    towards, away = [0.6, 0.0, 0.8], [-0.6, 0.0, -0.8]  # x right, y up, z back
    normals = np.tile(np.float16(towards), (768, 1024, 1))
    normals[5] = away
    normals[6] = 0
    semantic = np.full((768, 1024), 40, np.int16)
    semantic[0], semantic[1] = -1, 1
    colour = np.tile(np.float16([0.5, 1.0, 2.0]), (768, 1024, 1))
    colour[:20] = 30.0
    entity = np.ones((768, 1024), np.int32)
    entity[:20] = -1
    images = root / 'ai_001_001/images'
    for folder, name, values in (('final', 'color', colour),
                                 ('geometry', 'depth_meters', distance),
                                 ('geometry', 'normal_cam', normals),
                                 ('geometry', 'semantic', semantic),
                                 ('geometry', 'render_entity_id', entity)):
        path = images / f'scene_cam_00_{folder}_hdf5' / f'frame.0003.{name}.hdf5'
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, 'w') as file:
            file['dataset'] = values
    write_picture(images / 'scene_cam_00_final_preview/frame.0003.tonemap.jpg', plain(768, 1024))
    detail = root / 'ai_001_001/_detail/cam_00'
    detail.mkdir(parents=True)
    with h5py.File(detail / 'camera_keyframe_orientations.hdf5', 'w') as file:
        # Level, looking along the world's y; columns: right, up, back.
        file['dataset'] = np.tile(np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]), (4, 1, 1))
    (root / 'metadata_images_split_scene_v1.csv').write_text(
        'scene_name,camera_name,frame_id,included_in_public_release,exclude_reason,'
        'split_partition_name\nai_001_001,cam_00,3,True,,val\n'
        'ai_001_001,cam_00,4,False,CONTENT FLAGGED FOR REMOVAL,\n')
    return root


def test_hypersim(hypersim: Path):
    dataset = open_dataset('hypersim', hypersim, 'val',
                           tasks=('depth', 'segmentation', 'normals'))
    assert len(dataset) == 1
    sample = dataset[0]
    assert np.isnan(sample.depth[0, 0])
    np.testing.assert_allclose(sample.depth[1:], 2.0, rtol=1e-6)
    assert sample.intrinsics == Intrinsics(886.81, 886.81, 511.5, 383.5, 1024, 768)
    np.testing.assert_allclose(sample.normals[[0, 5, 700], 512], [[0.6, 0, -0.8]] * 3, atol=1e-3)
    assert np.isnan(sample.normals[6]).all()
    assert sample.labels[0, 0] == 255 and sample.labels[1, 0] == 0 and sample.labels[2, 0] == 39
    np.testing.assert_allclose(sample.gravity, [0, 1, 0])
    # Brightness .3 * .5 + .59 + .11 * 2 = .96 becomes .8; the unseen pixels do not count.
    expected = 255 * (np.array([0.5, 1, 2]) * 0.8 ** 2.2 / 0.96) ** (1 / 2.2)
    np.testing.assert_allclose(sample.image[700, 500], np.minimum(expected, 255), atol=1)
    assert (sample.image[:20] == 255).all()


def test_hypersim_previews_and_what_it_refuses(hypersim: Path, tmp_path: Path):
    h5py = pytest.importorskip('h5py', reason='Hypersim is HDF5')
    dataset = open_dataset('hypersim', hypersim, 'val', image='preview')
    np.testing.assert_allclose(dataset[0].image, plain(768, 1024), atol=3)
    assert dataset[0].labels is None and dataset.info.tasks == ('depth',)
    with pytest.raises(DatasetError, match='no frames of split "train"'):
        open_dataset('hypersim', hypersim, 'train')
    with pytest.raises(DatasetError, match='"jpg" is neither hdf5 nor preview'):
        open_dataset('hypersim', hypersim, 'val', image='jpg')
    with pytest.raises(DatasetError, match='has the tasks depth, segmentation, normals, not none'):
        open_dataset('hypersim', hypersim, 'val', tasks=())
    with pytest.raises(DatasetError, match='(?s)the split is missing.*ml-hypersim'):
        open_dataset('hypersim', tmp_path, 'val')
    masks = open_dataset('hypersim', hypersim, 'val', image='preview', tasks=('segmentation',))
    path = next(hypersim.rglob('*.semantic.hdf5'))
    with h5py.File(path, 'r+') as file:
        file['dataset'][3, 3] = 297
    with pytest.raises(LabelRangeError, match='40 classes'):
        masks[0]
    path.write_bytes(b'')
    with pytest.raises(UnreadableFileError, match='semantic.hdf5: "dataset" cannot be read'):
        masks[0]

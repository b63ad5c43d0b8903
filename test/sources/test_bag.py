"""Bags written by rosbags, read back as frames."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.bags import COMPRESSED, IMAGE, INFO, camera_info, compressed, image, write_bag
from helpers.plane_bag import CAMERA, MOUNT, write_plane_bag
from rosbags.rosbag2 import StoragePlugin

from dense_perception.geometry.camera_info import Distortion
from dense_perception.sources.bag import Bag
from dense_perception.sources.base import Lens, SourceError

SIZE = 48, 64
DEPTH = np.linspace(0.5, 9, SIZE[0] * SIZE[1], dtype=np.float32).reshape(SIZE)
DEPTH[0, :5] = np.nan
GREEN = np.zeros((*SIZE, 3), np.uint8) + np.uint8((20, 200, 30))
MILLIMETRES = np.nan_to_num(1e3 * DEPTH).astype(np.uint16)


def frames(path: Path) -> tuple[list, list[str]]:
    said: list[str] = []
    return list(Bag(path, Lens(60, said.append), said.append).frames()), said


def test_complete_bag(tmp_path: Path):
    found, said = frames(write_plane_bag(tmp_path / 'bag', frames=3))
    assert not said and len(found) == 3
    for frame in found:
        assert frame.intrinsics == CAMERA
        assert frame.mount.height == MOUNT.height
        np.testing.assert_allclose(frame.mount.down, MOUNT.down)
        np.testing.assert_array_equal(frame.depth, MOUNT.ground_depth(CAMERA))
        assert ((frame.image[:, :, 0] > 127) == frame.labels).all()
    assert [f.stamp_ns for f in found] == [10**9, 1_050_000_000, 1_100_000_000]


@pytest.mark.parametrize('storage', [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_truth_belongs_by_stamp_before_or_after_its_image(tmp_path: Path,
                                                            storage: StoragePlugin):
    second = 10**9
    found, said = frames(write_bag(
        tmp_path / 'bag',
        ('/rgb', IMAGE, image(1 * second, GREEN, 'rgb8')),
        ('/d', IMAGE, image(1 * second, DEPTH, '32FC1')),
        ('/d', IMAGE, image(2 * second, MILLIMETRES, '16UC1')),
        ('/rgb', IMAGE, image(2 * second, GREEN[:, :, ::-1], 'bgr8', padding=8)),
        ('/rgb', IMAGE, image(3 * second, GREEN, 'rgb8')), storage=storage))
    assert [f.depth is None for f in found] == [False, False, True]
    np.testing.assert_array_equal(found[0].depth, DEPTH)
    np.testing.assert_allclose(found[1].depth, DEPTH, atol=1.1e-3)
    for frame in found:
        np.testing.assert_array_equal(frame.image, GREEN)
    assert len(said) == 1 and 'no calibration' in said[0]


def test_compressed_images_and_depth(tmp_path: Path):
    def packed(values: np.ndarray, scale: float, offset: float) -> bytes:
        return struct.pack('<iff', 0, scale, offset) + bytes(cv2.imencode('.png', values)[1])

    scale, offset = 3000.0, -5.0
    inverse = np.nan_to_num(np.round(scale / DEPTH + offset)).astype(np.uint16)
    messages = []
    for stamp, (kind, data) in enumerate((
            ('32FC1; compressedDepth png', packed(inverse, scale, offset)),
            ('16UC1; compressedDepth png', packed(MILLIMETRES, 0, 0))), start=1):
        picture = cv2.imencode('.jpg', GREEN[:, :, ::-1])[1]
        messages += [('/c/compressed', COMPRESSED, compressed(stamp * 10**9, picture, 'jpeg')),
                     ('/d/compressedDepth', COMPRESSED, compressed(stamp * 10**9, data, kind))]
    found, _ = frames(write_bag(tmp_path / 'bag', *messages, storage=StoragePlugin.MCAP))
    for frame, tolerance in zip(found, (1.5e-2, 1.1e-3)):
        np.testing.assert_allclose(frame.image, GREEN, atol=6)
        np.testing.assert_allclose(frame.depth, DEPTH, atol=tolerance)


def test_broken_images_are_left_out_and_counted(tmp_path: Path):
    short = image(10**9, GREEN, 'rgb8')
    short.data = short.data[:100]
    found, said = frames(write_bag(
        tmp_path / 'bag', ('/rgb', IMAGE, image(0, GREEN, 'rgb8')), ('/rgb', IMAGE, short),
        ('/rgb', IMAGE, image(2 * 10**9, np.zeros((48, 96), np.uint8), 'nv12')),
        storage=StoragePlugin.MCAP))
    assert len(found) == 1
    assert '2 images in bag' in said[-1] and 'cannot be decoded' in said[-1]


def test_several_cameras_are_named(tmp_path: Path):
    found, said = frames(write_bag(
        tmp_path / 'bag', ('/b/image', IMAGE, image(0, GREEN, 'rgb8')),
        ('/a/image', IMAGE, image(0, GREEN, 'rgb8')), storage=StoragePlugin.MCAP))
    assert len(found) == 1
    assert 'several image topics (/a/image, /b/image); /a/image is played' in said[0]


def test_bag_without_colour(tmp_path: Path):
    path = write_bag(tmp_path / 'bag', ('/d', IMAGE, image(0, DEPTH, '32FC1')),
                 storage=StoragePlugin.MCAP)
    with pytest.raises(SourceError, match='has no colour images'):
        frames(path)


def test_bag_cut_off(tmp_path: Path):
    path = write_plane_bag(tmp_path / 'bag', frames=8)
    clip = next(p for p in path.iterdir() if p.suffix != '.yaml')
    clip.write_bytes(clip.read_bytes()[:clip.stat().st_size // 2])
    with pytest.raises(SourceError, match='no readable rosbag2 bag|is damaged'):
        frames(path)


def test_lens_model_of_a_distorted_camera_is_kept(tmp_path: Path):
    bent = (-0.3, 0.1, 0.0, 0.0, 0.0)
    info = camera_info(1, SIZE, [60.0, 0, 31.5, 0, 60.0, 23.5, 0, 0, 1], bent)
    path = write_bag(tmp_path / 'bag', ('/camera_info', INFO, info),
                 ('/image', IMAGE, image(1, GREEN, 'rgb8')), storage=StoragePlugin.MCAP)
    (frame,), said = frames(path)
    assert not said
    assert frame.distortion == Distortion('plumb_bob', bent)

"""Millimetres, compressed depth and colours: known values give known bytes."""

from __future__ import annotations

import struct

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage

from dense_perception import viz
from dense_perception.inference.card import ClassInfo
from dense_perception.ros.pictures import (
    COMPRESSED_DEPTH,
    DEPTH_COLOURS_M,
    Overlay,
    coloured_depth,
    compressed_depth,
    millimetres,
    opacity,
)
from dense_perception.sources import bag_images


def test_millimetres_are_rounded_and_what_they_cannot_hold_is_unknown():
    depth = np.array([[1.2344, 1.2346, 0.001, 65.535, 65.536, 1e9, np.inf, -np.inf, np.nan, 0, -1,
                       0.0004]], np.float32)
    found = millimetres(depth)
    assert found.dtype == np.uint16
    assert found.tolist() == [[1234, 1235, 1, 65535, 0, 0, 0, 0, 0, 0, 0, 0]]


def test_compressed_depth_is_a_header_and_a_png_of_the_same_values():
    image = np.random.default_rng(0).integers(0, 65536, (48, 64), np.uint16)
    data = compressed_depth(image)
    # compressed_depth_image_transport: enum INV_DEPTH = 0, then two floats of its 32FC1 form.
    assert struct.unpack('<iff', data[:12].tobytes()) == (0, 0.0, 0.0)
    assert data[12:20].tobytes() == b'\x89PNG\r\n\x1a\n'
    np.testing.assert_array_equal(cv2.imdecode(data[12:], cv2.IMREAD_UNCHANGED), image)


def test_a_bag_reader_gets_the_metres_back():
    depth = np.random.default_rng(0).uniform(0.1, 60, (48, 64)).astype(np.float32)
    depth[::5] = np.nan
    message = CompressedImage(format=COMPRESSED_DEPTH)
    message.data.frombytes(compressed_depth(millimetres(depth)).tobytes())
    message = type('Message', (), {'format': message.format,
                                   'data': np.frombuffer(message.data, np.uint8)})
    assert bag_images.kind_of('/depth/image_raw/compressedDepth', message) == 'depth'
    np.testing.assert_allclose(bag_images.depth(message), depth, atol=6e-4)


def test_colours_of_metric_depth_mean_the_same_in_every_frame():
    near, far = DEPTH_COLOURS_M
    frame = np.array([[1.0, 5.0, np.nan]], np.float32)
    other = np.array([[5.0, 29.0, near, far]], np.float32)
    assert (coloured_depth(frame, True)[0, 1] == coloured_depth(other, True)[0, 0]).all()
    assert (coloured_depth(frame, True)[0, 2] == viz.UNKNOWN).all()
    relative = coloured_depth(np.linspace(1, 2, 50, dtype=np.float32)[None] * 1e-3, False)[0]
    assert len(np.unique(relative, axis=0)) > 20


def test_an_overlay_shows_class_and_picture():
    overlay = Overlay([ClassInfo(4, 'person', (250, 0, 0))])
    image = np.zeros((2, 2, 3), np.uint8)
    image[:, 1] = 255
    painted = overlay.paint(image, np.full((2, 2), 4, np.uint8)).astype(int)
    assert painted[0, 0, 0] > painted[0, 0, 1] + 50 and painted[0, 1, 1] > painted[0, 0, 1] + 50


def test_opacity_is_rounded_to_bytes():
    alpha = np.array([[0, 0.5, 1, 0.002, 0.0019]], np.float32)
    assert opacity(alpha).tolist() == [[0, 128, 255, 1, 0]]

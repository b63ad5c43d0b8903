"""Rectification of pictures whose right answer is known; the lenses are in ros/test_camera.py."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.camera_info import Distortion
from dense_perception.geometry.rectification import Rectification
from dense_perception.geometry.resampling import halved, halvings

CAMERA = Intrinsics(400.0, 405.0, 322.7, 236.4, 640, 480)
LENS = Distortion('plumb_bob', (-0.28, 0.09, 0.001, -0.002, -0.01))
NO_LENS = Distortion('plumb_bob', (0.0,) * 5)


def picture() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 4)


def test_without_a_lens_nothing_moves():
    rectification = Rectification(CAMERA, NO_LENS, np.eye(3), CAMERA)
    np.testing.assert_array_equal(rectification.apply(picture()), picture())
    assert rectification.seen is None


def test_it_is_what_opencv_does():
    expected = cv2.undistort(picture(), CAMERA.matrix, np.array(LENS.coefficients))
    found = Rectification(CAMERA, LENS, np.eye(3), CAMERA)
    seen = np.ones((480, 640), bool) if found.seen is None else found.seen
    inner = cv2.erode(seen.astype(np.uint8), np.ones((5, 5)), borderValue=0) > 0
    difference = np.abs(found.apply(picture()).astype(int) - expected)[inner]
    assert difference.max() <= 2 and inner.mean() > 0.7


def test_padded_rows_and_other_channel_orders():
    pixels, rectification = picture(), Rectification(CAMERA, LENS, np.eye(3), CAMERA)
    expected = rectification.apply(pixels).copy()
    padded = np.zeros((480, 700, 3), np.uint8)
    padded[:, :640] = pixels
    np.testing.assert_array_equal(rectification.apply(padded[:, :640]), expected)
    swapped = np.ascontiguousarray(pixels[..., ::-1])
    np.testing.assert_array_equal(rectification.apply(swapped)[..., ::-1], expected)


@pytest.mark.parametrize(('width', 'height', 'zoom'), [(160, 120, 1.0), (320, 240, 0.5),
                                                       (150, 101, 0.9)])
def test_what_is_too_fine_for_the_small_image_becomes_grey(width: int, height: int, zoom: float):
    """A pattern of single pixels, which a look-up without halving would turn into waves."""
    fine = np.full((480, 640, 3), 50, np.uint8)
    fine[::2, ::2] = fine[1::2, 1::2] = 200
    target = Intrinsics(400 * zoom, 405 * zoom, 322.7, 236.4, 640, 480).resized(width, height)
    rectification = Rectification(CAMERA, LENS, np.eye(3), target)
    seen = rectification.seen if rectification.seen is not None else np.ones((height, width), bool)
    assert np.abs(rectification.apply(fine)[seen].astype(int) - 125).max() <= 2


def test_an_image_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r'is for images of shape \(480, 640\)'):
        Rectification(CAMERA, LENS, np.eye(3), CAMERA).apply(picture()[:-1])


@pytest.mark.parametrize(('shrink', 'times'), [(0.3, 0), (1.0, 0), (1.99, 0), (2.0, 1), (3.9, 1),
                                               (4.0, 2), (9.0, 3)])
def test_halving_leaves_a_factor_below_two(shrink: float, times: int):
    assert halvings(shrink) == times
    image = np.full((481, 643, 3), 7, np.uint8)
    assert halved(image, times).shape == (481 >> times, 643 >> times, 3)

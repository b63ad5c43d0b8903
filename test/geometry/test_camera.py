"""Intrinsics against what OpenCV's resize and array slicing really do to an image."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from dense_perception.geometry.camera import Intrinsics, IntrinsicsError

CAMERA = Intrinsics(520.0, 530.0, 322.7, 236.4, 640, 480)


def slope_images(camera: Intrinsics) -> tuple[np.ndarray, np.ndarray]:
    """Images whose pixels hold their own ray's x/z and y/z."""
    x, y = camera.ray_slopes()
    size = (camera.height, camera.width)
    return np.broadcast_to(x[None], size).copy(), np.broadcast_to(y[:, None], size).copy()


@pytest.mark.parametrize(('width', 'height', 'rule'), [
    (320, 240, cv2.INTER_AREA), (320, 256, cv2.INTER_AREA), (213, 161, cv2.INTER_AREA),
    (64, 32, cv2.INTER_AREA), (640, 480, cv2.INTER_LINEAR), (1280, 960, cv2.INTER_LINEAR),
    (901, 777, cv2.INTER_LINEAR), (320, 240, cv2.INTER_LINEAR)])
def test_resized_intrinsics_follow_the_resized_image(width: int, height: int, rule: int):
    resized = CAMERA.resized(width, height)
    seen_x, seen_y = (cv2.resize(image, (width, height), interpolation=rule)
                      for image in slope_images(CAMERA))
    x, y = resized.ray_slopes()
    inner = np.s_[2:-2]  # enlarging repeats the outermost source pixels
    assert np.abs(seen_x - x[None])[inner, inner].max() * resized.fx < 0.05
    assert np.abs(seen_y - y[:, None])[inner, inner].max() * resized.fy < 0.05


def test_cropped_intrinsics_follow_the_sliced_image():
    cropped = CAMERA.cropped(31, 47, 200, 150)
    for whole, window in zip(slope_images(CAMERA), slope_images(cropped)):
        np.testing.assert_allclose(whole[47:197, 31:231], window, atol=1e-6)


def test_padded_intrinsics_follow_the_padded_image():
    padded = CAMERA.padded(5, 7, 11, 13)
    assert (padded.width, padded.height) == (656, 500)
    for whole, wide in zip(slope_images(CAMERA), slope_images(padded)):
        np.testing.assert_allclose(whole, wide[7:-13, 5:-11], atol=1e-6)


def test_a_letterbox_can_be_undone():
    """Shrunk by one factor, padded to a square, seen by a network, and back."""
    small = CAMERA.resized(320, 240)
    boxed = small.padded(0, 40, 0, 40)
    assert (boxed.width, boxed.height) == (320, 320)
    np.testing.assert_allclose(boxed.cropped(0, 40, 320, 240).matrix, small.matrix)
    back = boxed.cropped(0, 40, 320, 240).resized(640, 480)
    np.testing.assert_allclose(back.matrix, CAMERA.matrix, atol=1e-9)
    # The same point of the world, seen in the letterbox and in the image.
    point = np.array([0.3, -0.2, 1.7])
    u, v, _ = boxed.matrix @ point / point[2]
    seen = CAMERA.matrix @ point / point[2]
    assert ((u + 0.5) * 2 - 0.5, (v - 40 + 0.5) * 2 - 0.5) == pytest.approx(tuple(seen[:2]))


def test_resizing_there_and_back_keeps_the_camera_and_its_middle():
    there_and_back = CAMERA.resized(317, 251).resized(640, 480)
    for name in ('fx', 'fy', 'cx', 'cy'):
        assert getattr(there_and_back, name) == pytest.approx(getattr(CAMERA, name), abs=1e-9)
    # The plane's point seen at the middle of the image stays at the middle.
    middle = Intrinsics(500.0, 500.0, 319.5, 239.5, 640, 480).resized(101, 53)
    assert (middle.cx, middle.cy) == (50.0, 26.0)


def test_a_plane_reprojects_onto_the_same_pixels_after_resize():
    """Points made from the small depth image land where the full image saw them."""
    small = CAMERA.resized(320, 256)
    x, y = small.ray_slopes()
    depth = 3.0 / (0.1 * x[None] + 0.4 * y[:, None] + 0.9)
    points_x, points_y = depth * x[None], depth * y[:, None]
    u = CAMERA.fx * points_x / depth + CAMERA.cx
    v = CAMERA.fy * points_y / depth + CAMERA.cy
    expected_u = (np.arange(320) + 0.5) * 640 / 320 - 0.5
    expected_v = (np.arange(256) + 0.5) * 480 / 256 - 0.5
    assert np.abs(u - expected_u[None]).max() < 0.05
    assert np.abs(v - expected_v[:, None]).max() < 0.05


@pytest.mark.parametrize(('values', 'reason'), [
    ((math.nan, 1, 0, 0, 4, 4), 'not finite'), ((1, 1, math.inf, 0, 4, 4), 'not finite'),
    ((0, 0, 0, 0, 4, 4), 'is the camera calibrated'), ((-1, 1, 0, 0, 4, 4), 'must be positive'),
    ((1, 1, 0, 0, 0, 4), 'image size 0x4'), ((1, 1, 0, 0, 4, -1), 'image size 4x-1')])
def test_impossible_cameras_are_refused(values: tuple[float, ...], reason: str):
    with pytest.raises(IntrinsicsError, match=reason):
        Intrinsics(*values)

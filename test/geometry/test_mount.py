"""Ground depth of a mount against rays traced independently in the robot's frame."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.mount import Mount, MountError

CAMERA = Intrinsics(80.0, 82.0, 40.3, 31.1, 80, 64)


def traced_ground_depth(pitch: float, roll: float, height: float) -> np.ndarray:
    """Depth of z = 0 seen from z = height, traced in the body frame (x forward, z up)."""
    cp, sp, cr, sr = math.cos(pitch), math.sin(pitch), math.cos(roll), math.sin(roll)
    turn_pitch = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])  # right-handed about y (left)
    turn_roll = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])  # right-handed about x
    optical_to_body = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], float)
    rays = np.empty((CAMERA.height, CAMERA.width, 3))
    for v in range(CAMERA.height):
        for u in range(CAMERA.width):
            rays[v, u] = ((u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy, 1)
    climb = (rays @ (turn_pitch @ turn_roll @ optical_to_body).T)[..., 2]
    return np.where(climb < 0, height / np.where(climb < 0, -climb, 1), np.nan)


@pytest.mark.parametrize('pitch', [-0.2, 0.0, 0.3, 1.2])
@pytest.mark.parametrize('roll', [-0.25, 0.0, 0.4])
def test_ground_depth_is_what_a_traced_ray_hits(pitch: float, roll: float):
    expected = traced_ground_depth(pitch, roll, 0.7)
    depth = Mount.from_pitch_roll(pitch, roll, 0.7).ground_depth(CAMERA)
    assert depth.dtype == np.float32 and depth.shape == (64, 80)
    near = np.nan_to_num(expected, nan=np.inf) < 200
    np.testing.assert_allclose(depth[near], expected[near], rtol=1e-3)
    above = np.isnan(expected)
    assert np.mean(np.isnan(depth) == above) > 0.99


def test_horizon_of_a_level_camera_is_its_centre_row():
    depth = Mount.from_pitch_roll(0.0, 0.0, 1.0).ground_depth(CAMERA)
    assert np.isnan(depth[:32]).all() and np.isfinite(depth[32:]).all()
    assert depth[40, 0] == pytest.approx(82.0 / (40 - 31.1), rel=1e-6)


def test_straight_down_sees_the_ground_at_the_camera_height():
    depth = Mount((0, 0, 2.0), 1.5).ground_depth(CAMERA)
    np.testing.assert_allclose(depth, 1.5)


def test_positive_roll_is_clockwise_seen_from_behind():
    """The camera's right side dips, so ground on the right is nearer in the same row."""
    depth = Mount.from_pitch_roll(0.5, 0.2, 1.0).ground_depth(CAMERA)
    assert depth[50, 70] < depth[50, 10]


def test_gravity_is_normalised():
    assert np.linalg.norm(Mount((0.3, 4.0, -1.0), 1.0).down) == pytest.approx(1)


@pytest.mark.parametrize(('down', 'height', 'reason'), [
    ((0, 0, 0), 1.0, 'not a finite, non-zero'), ((math.nan, 1, 0), 1.0, 'not a finite'),
    ((0, math.inf, 0), 1.0, 'not a finite'), ((0, 1, 0), 0.0, 'camera height 0.0'),
    ((0, 1, 0), -0.4, 'above 0'), ((0, 1, 0), math.nan, 'must be finite')])
def test_impossible_mounts_are_refused(down: tuple[float, ...], height: float, reason: str):
    with pytest.raises(MountError, match=reason):
        Mount(down, height)

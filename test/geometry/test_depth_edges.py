"""Flying pixels of analytic scenes: smears go, planes stay."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.depth_edges import FlyingPixels
from dense_perception.geometry.mount import Mount

CAMERA = Intrinsics(250.0, 250.0, 159.5, 127.5, 320, 256)
SIZE = (CAMERA.height, CAMERA.width)


def flying(depth: np.ndarray) -> np.ndarray:
    return FlyingPixels().find(depth.astype(np.float32)) > 0


def ramp(near: float, far: float, width: int) -> np.ndarray:
    """A near surface on the left, a far one on the right, ``width`` pixels between them."""
    depth = np.full(SIZE, near, np.float32)
    depth[:, 100:] = far
    steps = np.arange(1, width + 1) / (width + 1)
    depth[:, 100:100 + width] = near + steps * (far - near)
    return depth


@pytest.mark.parametrize('height', [0.2, 0.5, 1.5])
@pytest.mark.parametrize('pitch', [-0.1, 0.0, 0.3])
@pytest.mark.parametrize('roll', [0.0, 0.4])
def test_no_floor_flies_however_grazing(height: float, pitch: float, roll: float):
    depth = Mount.from_pitch_roll(pitch, roll, height).ground_depth(CAMERA)
    depth[depth > 300] = np.nan
    # A test of the jump between neighbours would take these.
    assert (depth[:-4] > 1.2 * depth[4:]).any()
    assert not flying(depth)[np.isfinite(depth)].any()


@pytest.mark.parametrize('normal', [(0.9, 0.0, 0.1), (-0.95, 0.1, 0.05), (0.4, -0.85, 0.1)])
def test_no_wall_flies_however_slanted(normal: tuple[float, float, float]):
    x, y = CAMERA.ray_slopes()
    facing = normal[0] * x[None] + normal[1] * y[:, None] + normal[2]
    depth = np.where(facing > 0.02, 0.8 / np.maximum(facing, 0.02), np.nan)
    assert not flying(depth)[np.isfinite(depth)].any()


@pytest.mark.parametrize('turned', [False, True])
@pytest.mark.parametrize('width', [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize(('near', 'far'), [(1.0, 2.0), (2.0, 6.0), (5.0, 25.0), (0.4, 8.0)])
def test_smears_fly_and_the_surfaces_beside_them_do_not(near: float, far: float, width: int,
                                                        turned: bool):
    depth = ramp(near, far, width)
    smeared = np.minimum(abs(depth - near) / near, abs(depth - far) / far) > 0.12
    found = flying(depth.T.copy()).T if turned else flying(depth)
    assert found[smeared].mean() > 0.95, 'a smear stays'
    assert not found[(depth == near) | (depth == far)].any()


def test_a_sharp_edge_has_no_flying_pixels():
    assert not flying(ramp(1.0, 5.0, 0)).any()


def test_a_pole_stays_and_its_smears_go():
    depth = np.full(SIZE, 6.0, np.float32)
    depth[40:220, 150:155] = 2.0
    depth[40:220, [149, 155]] = 4.0
    found = flying(depth)
    assert not found[40:220, 150:155].any()
    assert found[44:216, [149, 155]].all()


def test_the_rim_against_the_sky_flies():
    depth = np.full(SIZE, np.nan, np.float32)
    depth[:, :100] = 8.0
    depth[:, 100:103] = (12.0, 20.0, 60.0)
    found = flying(depth)
    assert found[:, 100:103].all() and not found[:, :100].any()


def test_an_enlarged_scene_loses_its_smears_and_little_else():
    """Boxes on a floor, rendered small and enlarged bilinearly, as networks do."""
    mount = Mount.from_pitch_roll(0.15, 0.0, 0.5)
    truth = np.nan_to_num(mount.ground_depth(CAMERA), nan=40.0)
    truth = np.minimum(truth, 12.0)  # a wall
    for left, near in ((40, 1.5), (130, 3.0), (220, 5.0)):
        box = truth[60:200, left:left + 50]
        np.minimum(box, near, out=box)
    low = truth[2::4, 2::4]
    smeared = cv2.resize(low, SIZE[::-1], interpolation=cv2.INTER_LINEAR)
    nearest, farthest = (f(truth, np.ones((5, 5))) for f in (cv2.erode, cv2.dilate))
    shifted = [np.roll(truth, (v, u), (0, 1)) for v in range(-2, 3) for u in range(-2, 3)]
    off = np.min([np.abs(smeared - t) / t for t in shifted], axis=0) > 0.1
    bad = off & (smeared > nearest) & (smeared < farthest)
    found = flying(smeared)
    assert bad.mean() > 0.003
    assert found[bad].mean() > 0.9
    assert found[~bad].mean() < 0.01


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf, 0.0, -2.0, 1e-30, 3.4e38])
def test_no_depth_at_all_is_no_trouble(bad: float):
    depth = np.full(SIZE, bad, np.float32)
    assert not flying(depth).any()
    depth[::3, ::5] = 2.0
    assert flying(depth).shape == SIZE


def test_one_finder_serves_changing_sizes():
    finder = FlyingPixels()
    for shape in ((1, 1), (48, 64), (3, 200), SIZE):
        alone = FlyingPixels().find(np.resize(ramp(1, 4, 3), shape))
        np.testing.assert_array_equal(finder.find(np.resize(ramp(1, 4, 3), shape)), alone)


def test_wrong_arrays_are_refused():
    with pytest.raises(ValueError, match='depth must be float32'):
        FlyingPixels().find(np.ones((4, 4)))
    with pytest.raises(ValueError, match='depth must be float32'):
        FlyingPixels().find(np.ones((4, 4, 1), np.float32))

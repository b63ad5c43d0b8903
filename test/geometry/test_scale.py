"""Alignment to known truth: exact without noise, robust with outliers, else a reason."""

from __future__ import annotations

import numpy as np
import pytest

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.mount import Mount
from dense_perception.geometry.scale import (
    AMBIGUITIES,
    MAX_SAMPLES,
    MIN_SAMPLES,
    Alignment,
    AlignmentError,
    align,
    ground_samples,
    point_samples,
)

CAMERA = Intrinsics(110.0, 112.0, 79.3, 62.8, 160, 128)
MOUNT = Mount.from_pitch_roll(0.25, 0.03, 0.7)
SCALE, SHIFT = 0.31, 0.07


def relative(depth: np.ndarray, ambiguity: str) -> np.ndarray:
    """What a perfect model of that ambiguity would say."""
    if ambiguity == 'scale':
        return depth / SCALE
    return ((1 / depth if ambiguity == 'inverse_affine' else depth) - SHIFT) / SCALE


def ground_and_boxes(share: float, seed: int = 0) -> np.ndarray:
    """Depth of the ground; boxes hide ``share`` of what is nearer than 10 heights."""
    rng = np.random.default_rng(seed)
    depth = MOUNT.ground_depth(CAMERA)
    near = np.nan_to_num(depth, nan=np.inf) < 10 * MOUNT.height
    free = near.copy()
    while 1 - free[near].mean() < share:
        u, foot = rng.integers(0, CAMERA.width), rng.choice(np.flatnonzero(near.any(1)))
        left, right = u, min(u + 25, CAMERA.width)
        if not near[foot, left]:
            continue
        box = (slice(max(foot - 45, 0), foot + 1), slice(left, right))
        depth[box] = np.fmin(depth[box], depth[foot, left])
        free[box] = False
    return np.where(np.isfinite(depth), depth, 40).astype(np.float32)


@pytest.mark.parametrize('ambiguity', AMBIGUITIES)
@pytest.mark.parametrize('share', [0.0, 0.2, 0.4])
def test_clean_ground_gives_the_exact_scale_and_shift(ambiguity: str, share: float):
    predicted = relative(ground_and_boxes(share), ambiguity).astype(np.float32)
    found = align(*ground_samples(predicted, CAMERA, MOUNT), ambiguity, nothing_beyond=True)
    assert found.scale == pytest.approx(SCALE, rel=1e-3)
    assert found.shift == (0 if ambiguity == 'scale' else pytest.approx(SHIFT, rel=1e-3))
    assert found.inliers == pytest.approx(1 - share, abs=0.12)
    assert found.residual < 1e-3


@pytest.mark.parametrize('ambiguity', AMBIGUITIES)
@pytest.mark.parametrize('seed', range(5))
def test_noise_and_a_third_of_outliers_cost_few_percent(ambiguity: str, seed: int):
    rng = np.random.default_rng(seed)
    depth = ground_and_boxes(0.35, seed)
    noisy = depth * rng.normal(1, 0.05, depth.shape)
    predicted = relative(noisy, ambiguity).astype(np.float32)
    found = align(*ground_samples(predicted, CAMERA, MOUNT), ambiguity, nothing_beyond=True)
    near = (MOUNT.ground_depth(CAMERA) < 5) & (depth < 5)
    error = found.depth(relative(depth, ambiguity).astype(np.float32)) / depth - 1
    assert np.abs(error[near]).max() < 0.06
    assert np.abs(np.median(error[near])) < 0.02
    assert 0.01 < found.residual < 0.06


@pytest.mark.parametrize('ambiguity', AMBIGUITIES)
def test_random_outliers_at_points(ambiguity: str):
    rng = np.random.default_rng(3)
    depth = rng.uniform(1, 15, 400)
    predicted = relative(depth, ambiguity)
    lying = rng.random(400) < 0.4
    told = np.where(lying, rng.uniform(1, 15, 400), depth)
    found = align(predicted, told, ambiguity)
    np.testing.assert_allclose(found.depth(predicted.astype(np.float32)), depth, rtol=1e-3)
    assert found.samples == 400 and 0.6 <= found.inliers < 0.75


def test_labels_let_a_little_ground_suffice():
    depth = ground_and_boxes(0.8)
    predicted = relative(depth, 'inverse_affine').astype(np.float32)
    with pytest.raises(AlignmentError, match='too few samples agree'):
        align(*ground_samples(predicted, CAMERA, MOUNT), 'inverse_affine', nothing_beyond=True)
    floor = np.isclose(depth, MOUNT.ground_depth(CAMERA))
    found = align(*ground_samples(predicted, CAMERA, MOUNT, floor), 'inverse_affine')
    assert found.scale == pytest.approx(SCALE, rel=1e-3)


def test_of_a_table_and_the_floor_the_floor_is_the_ground():
    """Most of the picture is a table top, at half the camera's height above the ground."""
    depth = MOUNT.ground_depth(CAMERA)
    depth[:, :90] /= 2
    predicted = relative(depth, 'inverse_affine').astype(np.float32)
    samples = ground_samples(predicted, CAMERA, MOUNT)
    table = align(*samples, 'inverse_affine', 0.3)
    assert table.scale == pytest.approx(SCALE / 2, rel=0.01)
    floor = align(*samples, 'inverse_affine', 0.3, nothing_beyond=True)
    assert floor.scale == pytest.approx(SCALE, rel=0.01)
    depth[:, 90:120] /= 2
    depth[:, 120:] *= np.random.default_rng(0).uniform(1.3, 3, (128, 40))  # no ground beside it
    predicted = relative(depth, 'inverse_affine').astype(np.float32)
    with pytest.raises(AlignmentError, match='below what would be the ground'):
        align(*ground_samples(predicted, CAMERA, MOUNT), 'inverse_affine', 0.3,
              nothing_beyond=True)


def noise(n: int, low: float, high: float) -> np.ndarray:
    return np.random.default_rng(1).uniform(low, high, n)


@pytest.mark.parametrize('ambiguity', AMBIGUITIES)
@pytest.mark.parametrize(('predicted', 'depth', 'reason'), [
    (noise(MIN_SAMPLES - 1, 1, 2), noise(MIN_SAMPLES - 1, 1, 2), 'too few samples'),
    (np.empty(0), np.empty(0), 'too few samples'),
    (-np.linspace(1, 9, 200), np.linspace(1, 9, 200), None),
    (np.zeros(200), np.linspace(1, 9, 200), 'does not follow'),
    (noise(200, 1, 9), np.random.default_rng(2).uniform(1, 9, 200), 'too few samples agree'),
], ids=['few', 'none', 'falling', 'constant', 'unrelated'])
def test_degenerate_samples_give_a_reason(ambiguity: str, predicted: np.ndarray,
                                          depth: np.ndarray, reason: str | None):
    if reason is None:  # falls where it should rise
        if ambiguity == 'inverse_affine':
            predicted = -predicted
        reason = 'does not follow|too few samples agree'
    with pytest.raises(AlignmentError, match=reason):
        align(predicted, depth, ambiguity, 0.6)


@pytest.mark.parametrize('ambiguity', ['affine', 'inverse_affine'])
def test_a_shift_needs_different_depths(ambiguity: str):
    depth = noise(300, 3.0, 3.5)
    with pytest.raises(AlignmentError, match='too alike'):
        align(relative(depth, ambiguity), depth, ambiguity)
    assert align(relative(depth, 'scale'), depth, 'scale').scale == pytest.approx(SCALE)


def test_aligned_depth_is_unknown_rather_than_invented():
    predicted = np.array([np.nan, 1.0, 0.0, -1.0, 1e-9, np.inf], np.float32)
    np.testing.assert_array_equal(Alignment('scale', 2.0).depth(predicted),
                                  np.array([np.nan, 2, np.nan, np.nan, 2e-9, np.nan], np.float32))
    found = Alignment('inverse_affine', 0.5, -0.25)
    np.testing.assert_array_equal(found.depth(predicted),
                                  np.array([np.nan, 4, *[np.nan] * 4], np.float32))
    assert found.depth(predicted).dtype == np.float32
    np.testing.assert_array_equal(Alignment('affine', 100.0, 1.0).depth(predicted)[:3],
                                  np.array([np.nan, np.nan, 1], np.float32))
    assert predicted[1] == 1  # the prediction itself stays


@pytest.mark.parametrize('ambiguity', AMBIGUITIES)
def test_depth_ratio_compares_alignments(ambiguity: str):
    first, second = (Alignment(ambiguity, s, 0.0, centre=3.0) for s in (1.0, 1.1))
    expected = 1 / 1.1 if ambiguity == 'inverse_affine' else 1.1
    assert second.depth_ratio(first) == pytest.approx(expected)
    assert np.isnan(first.depth_ratio(Alignment(ambiguity, 1.0, -5.0)))


def test_same_input_same_answer_and_bounded_work():
    predicted = relative(ground_and_boxes(0.3), 'affine').astype(np.float32)
    samples = ground_samples(predicted, CAMERA, MOUNT)
    assert align(*samples, 'affine') == align(*samples, 'affine')
    assert align(*samples, 'affine').samples <= MAX_SAMPLES


def test_ground_samples_are_below_the_horizon_and_on_the_mask():
    predicted = np.ones((128, 160), np.float32)
    predicted[100:] = np.nan
    values, depth = ground_samples(predicted, CAMERA, MOUNT)
    assert len(values) == len(depth) > 300 and np.isfinite(values).all()
    assert depth.min() > 0.7 and depth.max() <= 10 * MOUNT.height + 1e-4
    assert len(ground_samples(predicted, CAMERA, MOUNT, np.zeros((128, 160), bool))[0]) == 0


def see(pixels: list[tuple[float, float, float]]) -> np.ndarray:
    """Points in the optical frame, seen at column, row and depth."""
    u, v, z = np.array(pixels, float).T
    return np.stack([(u - CAMERA.cx) / CAMERA.fx * z, (v - CAMERA.cy) / CAMERA.fy * z, z], 1)


def test_points_take_the_value_of_the_pixel_they_fall_on():
    predicted = np.arange(128 * 160, dtype=np.float32).reshape(128, 160)
    values, depth = point_samples(predicted, CAMERA, see([(50.2, 60.4, 2.0), (99.6, 20, 5.0)]))
    np.testing.assert_array_equal(values, [60 * 160 + 50, 20 * 160 + 100])
    np.testing.assert_allclose(depth, [2, 5])


def test_unusable_points_are_left_out():
    predicted = np.where(np.arange(160) < 80, 1, 6) * np.ones((128, 1), np.float32)
    predicted = predicted.astype(np.float32)  # an edge at column 80
    predicted[10, 10] = np.nan
    hidden, beside = (40, 40, 9.0), (42, 41, 2.0)
    points = see([hidden, beside, (-5, 40, 2.5), (40, 500, 2.5), (80, 50, 3.0), (10, 10, 3.0),
                  (120, 90, 4.0)])
    points = np.vstack([points, [[np.nan, 0, 1]], [[0, 0, -2]], [[0, 0, np.nan]]])
    values, depth = point_samples(predicted, CAMERA, points)
    np.testing.assert_allclose(sorted(depth), [2, 4])
    np.testing.assert_array_equal(sorted(values), [1, 6])


def test_no_points_no_samples():
    predicted = np.ones((128, 160), np.float32)
    for points in (np.empty((0, 3)), np.full((5, 3), np.nan)):
        values, depth = point_samples(predicted, CAMERA, points)
        assert len(values) == len(depth) == 0

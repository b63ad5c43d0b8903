"""Depth metrics against values worked out by hand, their invariances, crops and alignments."""

from __future__ import annotations

import numpy as np
import pytest

from dense_perception.metrics import (
    DepthAccuracy,
    DepthProtocol,
    depth_error_variants,
    depth_metrics,
)
from dense_perception.metrics.alignment import fit_affine
from dense_perception.metrics.crops import crop_window, kb_window, put_back


@pytest.fixture
def truth() -> np.ndarray:
    return np.random.default_rng(1).uniform(0.5, 20, (40, 50)).astype(np.float32)


def test_perfect_depth(truth: np.ndarray):
    assert depth_metrics(truth, truth) == {
        'abs_rel': 0, 'sq_rel': 0, 'rmse': 0, 'rmse_log': 0, 'log10': 0, 'si_log': 0, 'd1': 1,
        'd2': 1, 'd3': 1, 'coverage': 1}
    assert set(depth_metrics(truth, truth, errors=depth_error_variants).values()) == {0, 1}


@pytest.mark.parametrize('scale', [0.5, 1.2, 1.3, 3.0])
def test_a_scaled_depth_is_wrong_in_metres_but_not_in_shape(truth: np.ndarray, scale: float):
    metrics = depth_metrics(scale * truth, truth)
    assert metrics['abs_rel'] == pytest.approx(abs(scale - 1), rel=1e-5)
    error = abs(scale - 1) * truth
    assert metrics['rmse'] == pytest.approx(np.sqrt(np.mean(error ** 2)), rel=1e-5)
    assert metrics['si_log'] == pytest.approx(0, abs=1e-4)
    assert metrics['log10'] == pytest.approx(abs(np.log10(scale)), rel=1e-5)
    assert metrics['rmse_log'] == pytest.approx(abs(np.log(scale)), rel=1e-5)
    assert metrics['sq_rel'] == pytest.approx((scale - 1) ** 2 * truth.mean(), rel=1e-5)
    for i in (1, 2, 3):
        assert metrics[f'd{i}'] == float(max(scale, 1 / scale) < 1.25 ** i)
    scaled = depth_metrics(scale * truth, truth, DepthProtocol(alignment='median'))
    assert scaled['abs_rel'] == pytest.approx(0, abs=1e-6) and scaled['d1'] == 1


def test_values_by_hand():
    metrics = depth_metrics(np.array([[2.0, 3.0]]), np.array([[1.0, 3.0]]))
    assert metrics['abs_rel'] == pytest.approx(0.5)
    assert metrics['sq_rel'] == pytest.approx(0.5)
    assert metrics['rmse'] == pytest.approx(np.sqrt(0.5))
    assert metrics['rmse_log'] == pytest.approx(np.log(2) / np.sqrt(2))
    assert metrics['log10'] == pytest.approx(np.log10(2) / 2)
    assert metrics['si_log'] == pytest.approx(100 * np.log(2) / 2)
    assert (metrics['d1'], metrics['d2'], metrics['d3']) == (0.5, 0.5, 0.5)


def test_variants_by_hand():
    metrics = depth_metrics(np.array([[2.0, 3.0]]), np.array([[1.0, 3.0]]),
                            errors=depth_error_variants)
    e = np.log(2)
    assert metrics['si_log_half'] == pytest.approx(np.sqrt(e ** 2 / 2 - 0.5 * (e / 2) ** 2))
    assert metrics['sq_rel_squared'] == pytest.approx(0.5)
    assert metrics['irmse'] == pytest.approx(1000 * np.sqrt(0.5 ** 2 / 2))


def test_order_of_pixels_does_not_matter(truth: np.ndarray):
    rng = np.random.default_rng(2)
    predicted = truth * rng.uniform(0.7, 1.4, truth.shape)
    order = rng.permutation(truth.size)
    shuffled = depth_metrics(predicted.ravel()[order][None], truth.ravel()[order][None])
    assert shuffled == pytest.approx(depth_metrics(predicted, truth))


def test_only_pixels_with_truth_count_and_silence_shows_as_coverage():
    truth = np.array([[np.nan, np.inf, 0.0, -1.0, 2.0, 2.0, 2.0, 2.0, 90.0]])
    predicted = np.array([[1.0, 1.0, 1.0, 1.0, 2.0, np.nan, 0.0, np.inf, 1.0]])
    metrics = depth_metrics(predicted, truth, DepthProtocol(far=80.0))
    assert metrics['abs_rel'] == 0 and metrics['coverage'] == 0.25


def test_images_count_alike_and_empty_ones_not_at_all(truth: np.ndarray):
    accuracy = DepthAccuracy()
    assert accuracy.result() is None
    accuracy.add(truth, np.full_like(truth, np.nan))
    accuracy.add(np.full_like(truth, np.nan), truth)
    assert accuracy.result() is None
    accuracy.add(1.5 * truth, truth)
    accuracy.add(truth[:2, :2], truth[:2, :2])
    assert accuracy.result()['abs_rel'] == pytest.approx(0.25)
    with pytest.raises(ValueError, match='differ in shape'):
        depth_metrics(truth[:2], truth)


def test_published_rule_clamps_what_is_missing():
    protocol = DepthProtocol(near=0.5, far=10.0, missing='clamped')
    truth = np.array([[1.0, 1.0, 5.0, 2.0, 12.0, 0.4]])
    predicted = np.array([[np.nan, -3.0, np.inf, 40.0, 1.0, 1.0]])
    metrics = depth_metrics(predicted, truth, protocol)
    assert metrics['abs_rel'] == pytest.approx((0.5 + 0.5 + 1 + 4) / 4)
    assert metrics['coverage'] == 0.25
    nothing = depth_metrics(np.full_like(truth, np.nan), truth, protocol)
    assert nothing['coverage'] == 0 and nothing['d1'] == 0
    assert depth_metrics(predicted, np.full_like(truth, np.nan), protocol) is None


def test_affine_fit_is_exact_and_survives_a_constant():
    rng = np.random.default_rng(3)
    p = rng.uniform(-2, 5, 1000)
    assert fit_affine(p, 0.37 * p - 1.9) == pytest.approx((0.37, -1.9))
    assert fit_affine(np.full(50, 0.1), np.arange(50.0)) == (0.0, pytest.approx(24.5))
    assert fit_affine(np.array([3.0]), np.array([2.0])) == (0.0, 2.0)
    # the normal equations, which the closed form must solve
    noisy = 2 * p + 1 + rng.standard_normal(1000)
    matrix = np.array([[np.sum(p * p), np.sum(p)], [np.sum(p), len(p)]])
    expected = np.linalg.solve(matrix, [np.sum(p * noisy), np.sum(noisy)])
    assert fit_affine(p, noisy) == pytest.approx(tuple(expected))


@pytest.mark.parametrize(('alignment', 'relative'), [
    ('affine_depth', lambda g: g), ('affine_disparity', lambda g: 1 / g)])
def test_alignment_finds_scale_and_shift(truth: np.ndarray, alignment: str, relative):
    protocol = DepthProtocol(far=80.0, alignment=alignment)
    exact = relative(truth.astype(np.float64))
    assert depth_metrics(3 * exact - 7, truth, protocol)['abs_rel'] == pytest.approx(0, abs=1e-9)
    noisy = exact * np.random.default_rng(4).uniform(0.8, 1.2, truth.shape)
    plain, moved = (depth_metrics(p, truth, protocol) for p in (noisy, 0.02 * noisy + 11))
    assert moved == pytest.approx(plain) and plain['abs_rel'] > 0.01
    constant = depth_metrics(np.full_like(truth, 0.3), truth, protocol)
    assert all(np.isfinite(v) for v in constant.values())


def test_aligned_disparity_stays_above_the_cap():
    truth = np.array([[1.0, 2.0, 4.0, 79.0]])
    disparity = np.array([[1.0, 0.5, 0.25, -3.0]])
    metrics = depth_metrics(disparity, truth, DepthProtocol(far=80.0,
                                                            alignment='affine_disparity'))
    assert np.isfinite(list(metrics.values())).all()


def test_protocol_follows_the_convention_of_the_model():
    protocol = DepthProtocol(far=10.0, crop='eigen_nyu')
    assert protocol.of_convention('metric') == protocol
    assert protocol.of_convention('inverse_affine').alignment == 'affine_disparity'
    assert protocol.of_convention('affine') == DepthProtocol(far=10.0, crop='eigen_nyu',
                                                             alignment='affine_depth')
    with pytest.raises(ValueError, match='none of metric, affine'):
        protocol.of_convention('disparity')


@pytest.mark.parametrize(('crop', 'height', 'width', 'rows', 'columns'), [
    ('none', 5, 7, (0, 5), (0, 7)),
    ('eigen_nyu', 480, 640, (45, 471), (41, 601)),
    ('garg', 375, 1242, (153, 371), (44, 1197)),
    ('garg', 352, 1216, (143, 349), (43, 1172)),
    ('eigen_kitti', 375, 1242, (124, 342), (44, 1197))])
def test_crops(crop: str, height: int, width: int, rows: tuple, columns: tuple):
    window = crop_window(crop, height, width)
    assert [(s.start, s.stop) for s in window] == [rows, columns]
    truth = np.ones((height, width))
    predicted = np.full((height, width), 2.0)
    predicted[window] = 1.0
    assert depth_metrics(predicted, truth, DepthProtocol(crop=crop))['abs_rel'] == 0
    wrong = np.ones((height, width))
    wrong[window[0].start, window[1].start] = 2.0
    assert depth_metrics(wrong, truth, DepthProtocol(crop=crop))['abs_rel'] > 0


def test_kitti_benchmark_window_and_its_way_back():
    rows, columns = kb_window(375, 1242)
    assert (rows.start, rows.stop, columns.start, columns.stop) == (23, 375, 13, 1229)
    full = put_back(np.ones((352, 1216), np.float32), (rows, columns), 375, 1242)
    assert full.shape == (375, 1242) and np.nansum(full) == 352 * 1216
    garg = crop_window('garg', 375, 1242)
    assert np.isfinite(full[garg]).all()  # so nothing that counts is missing
    with pytest.raises(ValueError, match='only 1200x352'):
        kb_window(352, 1200)


@pytest.mark.parametrize(('wrong', 'message'), [
    ({'near': 0.0}, '0 < near < far'), ({'near': 5.0, 'far': 1.0}, '0 < near < far'),
    ({'crop': 'gargle'}, 'none of none, eigen_nyu, garg'),
    ({'alignment': 'mean'}, 'none of none, median'), ({'missing': 'zero'}, 'none of excluded')])
def test_wrong_protocols_are_refused(wrong: dict, message: str):
    with pytest.raises(ValueError, match=message):
        DepthProtocol(**wrong)


def test_nyu_crop_of_another_size_is_refused():
    with pytest.raises(ValueError, match='for 640x480 images, not 320x240'):
        crop_window('eigen_nyu', 240, 320)

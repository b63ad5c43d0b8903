"""Metrics against values worked out by hand and their known invariances."""

from __future__ import annotations

import numpy as np
import pytest

from dense_perception.metrics import DepthAccuracy, SegmentationAccuracy, depth_metrics


@pytest.fixture
def truth() -> np.ndarray:
    return np.random.default_rng(1).uniform(0.5, 20, (40, 50)).astype(np.float32)


def test_perfect_depth(truth: np.ndarray):
    assert depth_metrics(truth, truth) == {'abs_rel': 0, 'rmse': 0, 'si_log': 0, 'd1': 1, 'd2': 1,
                                           'd3': 1, 'coverage': 1}


@pytest.mark.parametrize('scale', [0.5, 1.2, 1.3, 3.0])
def test_a_scaled_depth_is_wrong_in_metres_but_not_in_shape(truth: np.ndarray, scale: float):
    metrics = depth_metrics(scale * truth, truth)
    assert metrics['abs_rel'] == pytest.approx(abs(scale - 1), rel=1e-5)
    error = abs(scale - 1) * truth
    assert metrics['rmse'] == pytest.approx(np.sqrt(np.mean(error ** 2)), rel=1e-5)
    assert metrics['si_log'] == pytest.approx(0, abs=1e-4)
    for i in (1, 2, 3):
        assert metrics[f'd{i}'] == float(max(scale, 1 / scale) < 1.25 ** i)
    scaled = depth_metrics(scale * truth, truth, median_scaled=True)
    assert scaled['abs_rel'] == pytest.approx(0, abs=1e-6) and scaled['d1'] == 1


def test_values_by_hand():
    metrics = depth_metrics(np.array([[2.0, 3.0]]), np.array([[1.0, 3.0]]))
    assert metrics['abs_rel'] == pytest.approx(0.5)
    assert metrics['rmse'] == pytest.approx(np.sqrt(0.5))
    assert metrics['si_log'] == pytest.approx(100 * np.log(2) / 2)
    assert (metrics['d1'], metrics['d2'], metrics['d3']) == (0.5, 0.5, 0.5)


def test_only_pixels_with_truth_count_and_silence_shows_as_coverage():
    truth = np.array([[np.nan, np.inf, 0.0, -1.0, 2.0, 2.0, 2.0, 2.0, 90.0]])
    predicted = np.array([[1.0, 1.0, 1.0, 1.0, 2.0, np.nan, 0.0, np.inf, 1.0]])
    metrics = depth_metrics(predicted, truth, far=80.0)
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


def test_confusion_by_hand():
    accuracy = SegmentationAccuracy(4)
    assert accuracy.result() is None
    accuracy.add(np.array([[0, 0, 1, 255]], np.uint8), np.array([[0, 1, 1, 0]], np.uint8))
    accuracy.add(np.array([[2, 1]], np.uint8), np.array([[2, 255]], np.uint8))
    # class 0: 1 of {0, 0, 255->0}; class 1: 1 of {0->1, 1}; class 2: 1 of 1; class 3: absent.
    np.testing.assert_allclose(accuracy.iou(), [1 / 3, 1 / 2, 1, np.nan])
    assert accuracy.result() == {'miou': pytest.approx((1 / 3 + 1 / 2 + 1) / 3),
                                 'pixel_accuracy': pytest.approx(3 / 5)}


def test_a_class_only_predicted_lowers_the_mean():
    accuracy = SegmentationAccuracy(2)
    accuracy.add(np.array([0, 1]), np.array([0, 0]))
    assert accuracy.result()['miou'] == pytest.approx((1 / 2 + 0) / 2)


def test_shapes_and_class_counts_are_checked(truth: np.ndarray):
    with pytest.raises(ValueError, match='differ in shape'):
        depth_metrics(truth[:2], truth)
    with pytest.raises(ValueError, match='differ in shape'):
        SegmentationAccuracy(3).add(np.zeros((2, 2), int), np.zeros((2, 3), int))
    with pytest.raises(ValueError, match='must be 1..255'):
        SegmentationAccuracy(0)

"""Confusion matrices against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dense_perception.metrics import SegmentationAccuracy


def test_confusion_by_hand():
    accuracy = SegmentationAccuracy(4)
    assert accuracy.result() is None
    accuracy.add(np.array([[0, 0, 1, 255]], np.uint8), np.array([[0, 1, 1, 0]], np.uint8))
    accuracy.add(np.array([[2, 1]], np.uint8), np.array([[2, 255]], np.uint8))
    # class 0: 1 of {0, 0, 255->0}; class 1: 1 of {0->1, 1}; class 2: 1 of 1; class 3: absent.
    np.testing.assert_allclose(accuracy.iou(), [1 / 3, 1 / 2, 1, np.nan])
    assert accuracy.result() == {'miou': pytest.approx((1 / 3 + 1 / 2 + 1) / 3),
                                 'mean_accuracy': pytest.approx((1 / 2 + 1 / 2 + 1) / 3),
                                 'pixel_accuracy': pytest.approx(3 / 5)}


def test_a_class_only_predicted_lowers_the_mean():
    accuracy = SegmentationAccuracy(2)
    accuracy.add(np.array([0, 1]), np.array([0, 0]))
    assert accuracy.result()['miou'] == pytest.approx((1 / 2 + 0) / 2)


def test_shapes_and_class_counts_are_checked():
    with pytest.raises(ValueError, match='differ in shape'):
        SegmentationAccuracy(3).add(np.zeros((2, 2), int), np.zeros((2, 3), int))
    with pytest.raises(ValueError, match='must be 1..255'):
        SegmentationAccuracy(0)

"""Matting metrics against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dense_perception.metrics import MattingAccuracy, matting_metrics


def test_values_by_hand():
    truth = np.zeros((10, 20))
    truth[:, :10] = 1
    predicted = truth.copy()
    predicted[0, :4] = 0.5
    metrics = matting_metrics(predicted, truth)
    assert metrics['sad'] == pytest.approx(4 * 0.5 / 1000)
    assert metrics['mad'] == pytest.approx(4 * 0.5 / 200)
    assert metrics['mse'] == pytest.approx(4 * 0.25 / 200)
    # These pixels leave the largest region after 0.5: there the truth is 0.5 above that level.
    assert metrics['conn'] == pytest.approx(4 * 0.5 / 1000)


def test_a_separate_island_is_disconnected():
    truth = np.zeros((8, 8))
    truth[1:4, 1:4] = 1
    predicted = truth.copy()
    predicted[6, 6] = 1  # 4-connected to nothing
    metrics = matting_metrics(predicted, truth)
    # Out of the region from the first threshold on: level 0, so the whole alpha is unconnected.
    assert metrics['conn'] == pytest.approx(1 / 1000)
    assert metrics['sad'] == pytest.approx(1 / 1000)


def test_differences_below_the_tolerance_are_connected():
    truth = np.ones((4, 4))
    predicted = np.full((4, 4), 0.9)
    assert matting_metrics(predicted, truth)['conn'] == pytest.approx(0, abs=1e-12)


def test_perfect_unknown_and_degenerate_mattes():
    matte = np.random.default_rng(0).uniform(0, 1, (16, 16))
    assert set(matting_metrics(matte, matte).values()) == {0.0}
    empty = np.zeros((4, 4))
    assert set(matting_metrics(empty, empty).values()) == {0.0}
    assert matting_metrics(np.full((4, 4), np.nan), empty) is None
    partly = np.array([[np.nan, 1.0]])
    assert matting_metrics(np.array([[0.3, 1.0]]), partly)['sad'] == 0
    with pytest.raises(ValueError, match='differ in shape'):
        matting_metrics(matte[:2], matte)


def test_images_count_alike():
    accuracy = MattingAccuracy()
    assert accuracy.result() is None
    accuracy.add(np.ones((2, 2)), np.zeros((2, 2)))
    accuracy.add(np.ones((20, 20)), np.ones((20, 20)))
    assert accuracy.result()['mad'] == pytest.approx(0.5)

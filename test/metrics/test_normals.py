"""Angular errors of normals against known angles."""

from __future__ import annotations

import numpy as np
import pytest

from dense_perception.metrics import NormalAccuracy, angular_errors


def turned(degrees: np.ndarray) -> np.ndarray:
    """Unit vectors at these angles from the z axis."""
    radians = np.radians(degrees)
    return np.stack([np.sin(radians), 0 * radians, np.cos(radians)], -1)


ANGLES = np.array([[0.0, 10.0, 20.0, 25.0, 100.0]])
UPRIGHT = turned(np.zeros_like(ANGLES))


@pytest.mark.parametrize('pooled', [True, False])
def test_values_by_hand(pooled: bool):
    accuracy = NormalAccuracy(pooled)
    assert accuracy.result() is None
    accuracy.add(3 * turned(ANGLES), UPRIGHT)
    result = accuracy.result()
    assert result['mean'] == pytest.approx(31.0)
    assert result['median'] == pytest.approx(20.0, abs=0.011)
    assert result['rmse'] == pytest.approx(np.sqrt(np.mean(ANGLES ** 2)))
    assert (result['below_11.25'], result['below_22.5'], result['below_30']) == (0.4, 0.6, 0.8)


def test_pooled_counts_pixels_and_per_image_counts_images():
    pooled, per_image = NormalAccuracy(), NormalAccuracy(pooled=False)
    for accuracy in (pooled, per_image):
        accuracy.add(turned(np.zeros((1, 9))), turned(np.zeros((1, 9))))
        accuracy.add(turned(np.full((1, 1), 90.0)), turned(np.zeros((1, 1))))
        accuracy.add(np.full((1, 4, 3), np.nan), turned(np.zeros((1, 4))))
    assert pooled.result()['mean'] == pytest.approx(9.0)
    assert per_image.result()['mean'] == pytest.approx(45.0)


def test_median_of_many_angles_is_exact_to_a_hundredth_of_a_degree():
    angles = np.random.default_rng(0).uniform(0, 180, (1, 20_001))
    accuracy = NormalAccuracy()
    accuracy.add(turned(angles), turned(np.zeros_like(angles)))
    assert accuracy.result()['median'] == pytest.approx(np.median(angles), abs=0.01)


def test_unknown_and_zero_normals_do_not_count():
    truth = np.array([[[0, 0, 1.0], [np.nan, 0, 1], [0, 0, 0], [0, 0, 1]]])
    predicted = np.array([[[0, 0, -1.0], [0, 0, 1], [0, 0, 1], [0, np.nan, 1]]])
    assert angular_errors(predicted, truth) == pytest.approx([180.0])
    with pytest.raises(ValueError, match='differ in shape'):
        angular_errors(predicted, truth[:, :2])

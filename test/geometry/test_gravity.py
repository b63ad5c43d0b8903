"""Gravity from simulated IMUs: at rest, shaken, nodding, silent and broken."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dense_perception.geometry.gravity import STANDARD_GRAVITY, GravityFilter
from dense_perception.geometry.rotation import optical_from_body, rotation_matrix

RATE_HZ = 200.0


def angle(a: np.ndarray, b: np.ndarray) -> float:
    """In degrees."""
    return math.degrees(math.acos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1)))


def nodding(time_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Down in the frame of a body that nods by 6 degrees, and its angular velocity."""
    pitch, rate = (0.1 * f(4 * time_s) * k for f, k in ((math.sin, 1), (math.cos, 4)))
    # x forward, y left, z up: pitch > 0 turns the nose, and down to it, down.
    return np.array([math.sin(pitch), 0, -math.cos(pitch)]), np.array([0, rate, 0])


def test_at_rest_it_is_what_the_acceleration_says_after_half_a_second():
    gravity = GravityFilter(1.0)
    force = STANDARD_GRAVITY * np.array([0.1, -0.2, math.sqrt(0.95)])
    for i in range(99):
        gravity.update(i / RATE_HZ, force)
        assert gravity.down is None
    gravity.update(0.51, force)
    assert angle(gravity.down, -force) < 1e-3
    assert np.linalg.norm(gravity.down) == pytest.approx(1)


@pytest.mark.parametrize('size', [1.0, 3.0, 8.0], ids=lambda s: f'{s:g} m/s2')
def test_shaking_does_not_tilt_the_world(size: float):
    """A vehicle's vibration at 17 Hz in all directions; single samples are off by up to 40."""
    rng = np.random.default_rng(0)
    phase, down = rng.uniform(0, 6, 3), np.array([0.2, 0.1, -1]) / math.sqrt(1.05)
    gravity, worst = GravityFilter(1.0), 0.0
    for i in range(int(20 * RATE_HZ)):
        t = i / RATE_HZ
        shake = size * np.sin(2 * math.pi * 17.3 * t + phase) + rng.normal(0, 0.3 * size, 3)
        gravity.update(t, shake - STANDARD_GRAVITY * down)
        if t > 3:
            worst = max(worst, angle(gravity.down, down))
    assert worst < min(0.5 * size, 3.0)


def test_a_bump_is_left_out():
    gravity, down = GravityFilter(1.0), np.array([0, 0, -1.0])
    for i in range(400):
        bump = np.array([15.0, 0, 0]) if 250 <= i < 280 else np.zeros(3)
        gravity.update(i / RATE_HZ, bump - STANDARD_GRAVITY * down)
        assert i < 101 or angle(gravity.down, down) < 1.5


def test_nodding_is_followed_through_noise_and_bias():
    rng = np.random.default_rng(1)
    gravity, errors = GravityFilter(2.0), []
    for i in range(int(10 * RATE_HZ)):
        down, rate = nodding(i / RATE_HZ)
        gravity.update(i / RATE_HZ, rng.normal(0, 0.3, 3) - STANDARD_GRAVITY * down,
                       rate + rng.normal(0, 0.01, 3) + math.radians(0.3))
        if i > 3 * RATE_HZ:
            errors.append(angle(gravity.down, down))
    assert max(errors) < 1.2


def test_without_a_gyroscope_it_lags_but_keeps_the_mean():
    gravity, errors = GravityFilter(2.0), []
    for i in range(int(10 * RATE_HZ)):
        down, _ = nodding(i / RATE_HZ)
        gravity.update(i / RATE_HZ, -STANDARD_GRAVITY * down)
        if i > 3 * RATE_HZ:
            errors.append(angle(gravity.down, down))
    assert 3 < max(errors) < 8


def test_no_trusted_acceleration_for_three_seconds_is_no_gravity():
    gravity = GravityFilter(1.0)
    for i in range(200):
        gravity.update(i / RATE_HZ, (0, 0, 9.8))
    assert gravity.down is not None
    for i in range(200, 900):
        gravity.update(i / RATE_HZ, (0, 0, 2.0))  # falling, or a wrong unit
    assert gravity.down is None


def test_a_gap_begins_anew_and_nonsense_is_ignored():
    gravity = GravityFilter(1.0)
    for i in range(200):
        gravity.update(i / RATE_HZ, (0, 0, 9.8))
    before = gravity.down
    gravity.update(1.01, (math.nan, 0, 9.8))
    gravity.update(math.nan, (0, 0, 9.8))
    gravity.update(1.01, (0, 0, 9.8), (math.inf, 0, 0))
    gravity.update(0.9, (9.8, 0, 0))  # older than the last
    np.testing.assert_array_equal(gravity.down, before)
    gravity.update(3.0, (9.8, 0, 0))
    assert gravity.down is None
    for i in range(150):
        gravity.update(3.0 + i / RATE_HZ, (9.8, 0, 0))
    assert angle(gravity.down, np.array([-1, 0, 0])) < 1e-6


def test_rotations():
    np.testing.assert_allclose(rotation_matrix((0, 0, 2.0, 2.0)) @ (1, 0, 0), (0, 1, 0),
                               atol=1e-12)
    for bad in ((0, 0, 0, 0), (math.nan, 0, 0, 1)):
        with pytest.raises(ValueError, match='zero or not finite'):
            rotation_matrix(bad)


@pytest.mark.parametrize(('pitch', 'roll'), [(0, 0), (0.4, 0), (-0.2, 0.3)])
def test_optical_from_body_agrees_with_the_mount(pitch: float, roll: float):
    from dense_perception.geometry.mount import Mount
    np.testing.assert_allclose(optical_from_body(pitch, roll) @ (0, 0, -1),
                               Mount.from_pitch_roll(pitch, roll, 1).down, atol=1e-12)

"""Which way is down for an inertial measurement unit, from what it measures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

STANDARD_GRAVITY = 9.80665  # m/s^2

_GATE = 0.1  # share by which an acceleration's norm may differ from gravity's
_LONGEST_GAP_S = 0.5
_UNTRUSTED_S = 3.0
_SETTLING_S = 0.5


class GravityFilter:
    """Down in the IMU's frame: a complementary filter (as of Mahony et al. 2008).

    The angular velocity turns the estimate from sample to sample; the acceleration, which at rest
    points up, pulls it slowly to the truth. An acceleration whose norm is not about gravity's is
    left out: a bump or a start must not tilt the world.

    :param time_constant: seconds in which the acceleration corrects 63 % of an error.
    """

    def __init__(self, time_constant: float) -> None:
        self._time_constant = time_constant
        self._forget()

    def _forget(self) -> None:
        self._down: np.ndarray | None = None
        self._time_s = -math.inf
        self._trusted_s = self._first_s = -math.inf
        self._samples = 0

    @property
    def down(self) -> np.ndarray | None:
        """Unit vector, float64 (3,); None in the first half second.

        Also None if no acceleration has been about gravity's for the last 3 seconds.
        """
        settled = self._trusted_s - self._first_s >= _SETTLING_S
        lost = self._time_s - self._trusted_s > _UNTRUSTED_S
        return self._down if settled and not lost else None

    def update(self, time_s: float, acceleration: Sequence[float],
               angular_velocity: Sequence[float] = (0.0, 0.0, 0.0)) -> None:
        """Take in one sample in the IMU's frame: m/s^2 (+9.8 upwards at rest) and rad/s.

        A sample that is not finite or not newer than the last is left out; after a gap of half a
        second, or when time runs backwards by more, the filter starts anew.
        """
        force, rate = np.asarray(acceleration, float), np.asarray(angular_velocity, float)
        if not (np.isfinite(force).all() and np.isfinite(rate).all() and math.isfinite(time_s)):
            return
        elapsed = time_s - self._time_s
        if abs(elapsed) > _LONGEST_GAP_S:
            self._forget()
            elapsed = 0.0
        elif elapsed <= 0:
            return
        self._time_s = time_s
        if self._down is not None:
            # A vector fixed in the world turns the other way round in the body.
            self._down = self._down + elapsed * np.cross(self._down, rate)
        norm = float(np.linalg.norm(force))
        if abs(norm - STANDARD_GRAVITY) <= _GATE * STANDARD_GRAVITY:
            self._correct(-force / norm, elapsed)
        if self._down is not None:
            self._down = self._down / np.linalg.norm(self._down)

    def _correct(self, down: np.ndarray, elapsed: float) -> None:
        self._trusted_s = self._time_s
        self._samples += 1
        if self._down is None:
            self._down, self._first_s = down, self._time_s
            return
        # At first the mean of all samples, so that the first one counts no more than the others.
        share = max(1 - math.exp(-elapsed / self._time_constant), 1 / self._samples)
        self._down = self._down + share * (down - self._down)

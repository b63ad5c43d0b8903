"""Which way is down for an inertial measurement unit, from what it measures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

STANDARD_GRAVITY = 9.80665  # m/s^2

_GATE = 0.07
_AVERAGED_S = 0.25
_QUIET_S = 0.5
_UNTRUSTED_S = 3.0
_LONGEST_GAP_S = 0.5


class GravityFilter:
    """Down in the IMU's frame: a complementary filter (as of Mahony et al. 2008).

    The angular velocity turns the estimate from sample to sample; the acceleration, which at rest
    points up, pulls it slowly to the truth. What pulls is the mean acceleration of a quarter of a
    second, and only after its norm has been within 7 % of gravity's for half a second: vibration
    averages out, while a bump or a start is left out together with its tail. (A gate on single
    samples would pick out of a vibration those that happen to have the right norm, which lie to
    one side.)

    :param time_constant: seconds in which the acceleration corrects 63 % of an error.
    """

    def __init__(self, time_constant: float) -> None:
        self._time_constant = time_constant
        self._forget()

    def _forget(self) -> None:
        self._force: np.ndarray | None = None  # mean acceleration, up at rest
        self._down: np.ndarray | None = None
        self._time_s = self._trusted_s = self._loud_s = -math.inf
        self._samples = 1

    @property
    def down(self) -> np.ndarray | None:
        """Unit vector, float64 (3,); None before the first quiet half second.

        Also None if there has been no quiet moment for the last 3 seconds.
        """
        return None if self._time_s - self._trusted_s > _UNTRUSTED_S else self._down

    def update(self, time_s: float, acceleration: Sequence[float],
               angular_velocity: Sequence[float] = (0.0, 0.0, 0.0)) -> None:
        """Take in one sample in the IMU's frame: m/s^2 (+9.8 upwards at rest) and rad/s.

        A sample that is not finite or not newer than the last is left out; after a gap of half a
        second, or when time runs backwards by more, the filter starts anew.
        """
        if not all(map(math.isfinite, (time_s, *acceleration, *angular_velocity))):
            return
        force = np.array(acceleration, float)
        elapsed = time_s - self._time_s
        if self._force is None or abs(elapsed) > _LONGEST_GAP_S:
            self._forget()
            self._force, self._time_s, self._loud_s = force, time_s, time_s
            return
        if elapsed <= 0:
            return
        self._time_s = time_s
        turned = _turned(self._force, angular_velocity, elapsed)
        self._samples += 1
        # At first the plain mean, so that the first sample counts no more than the others.
        share = max(_share(elapsed, _AVERAGED_S), 1 / self._samples)
        self._force = turned + share * (force - turned)
        if self._down is not None:
            down = _turned(self._down, angular_velocity, elapsed)
            self._down = down / math.sqrt(down @ down)
        self._correct(self._force, elapsed)

    def _correct(self, force: np.ndarray, elapsed: float) -> None:
        norm = math.sqrt(force @ force)
        if abs(norm - STANDARD_GRAVITY) > _GATE * STANDARD_GRAVITY:
            self._loud_s = self._time_s
        if self._time_s - self._loud_s < _QUIET_S:
            return
        self._trusted_s = self._time_s
        measured = -force / norm
        if self._down is None:
            self._down = measured
        else:
            self._down = self._down + _share(elapsed, self._time_constant) * (
                measured - self._down)


def _turned(vector: np.ndarray, rate: Sequence[float], elapsed: float) -> np.ndarray:
    """A vector fixed in the world, in a body that turns: vector + elapsed * (vector x rate)."""
    (x, y, z), (p, q, r) = vector.tolist(), rate
    return vector + elapsed * np.array((y * r - z * q, z * p - x * r, x * q - y * p))


def _share(elapsed: float, time_constant: float) -> float:
    """Weight of a new sample in an exponential mean."""
    return 1 - math.exp(-elapsed / time_constant)

"""Simulated sensors of the scale benchmark: an IMU, sparse points, a disparity."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.gravity import STANDARD_GRAVITY, GravityFilter
from dense_perception.geometry.mount import Mount

POINTS = 300

_IMU_RATE = 200  # samples per second
_VIBRATION = 0.5  # m/s^2, standard deviation of each sample
_PUSH, _PUSH_HZ = 0.5, 0.3  # m/s^2: the robot speeds up and brakes
_GYRO_NOISE, _GYRO_BIAS = 0.01, 0.005  # rad/s
_POINT_NOISE, _WRONG_POINTS = 0.02, 0.1
_DISPARITY_NOISE = 0.05


def follow(mounts: Sequence[Mount], rate: float, rng: np.random.Generator) -> list[Mount | None]:
    """Mounts as an IMU in the camera would give them; None until it has settled.

    Only acceleration and angular velocity, with noise, bias and a robot that speeds up and brakes.

    :param mounts: true ones, ``rate`` a second; gravity between them is interpolated.
    """
    downs = np.array([m.down for m in mounts])
    times = np.arange(len(mounts)) / rate
    fine = np.arange(0, times[-1] + 1e-9, 1 / _IMU_RATE)
    down = np.stack([np.interp(fine, times, axis) for axis in downs.T], 1)
    down /= np.linalg.norm(down, axis=1, keepdims=True)
    # Of the angular velocity, the part that moves gravity: d(down)/dt = down x rate.
    turn = np.cross(np.gradient(down, fine, axis=0), down)
    push = np.outer(_PUSH * np.sin(2 * np.pi * _PUSH_HZ * fine + rng.uniform(0, 6)), (0, 0, 1))
    force = push - STANDARD_GRAVITY * down + rng.normal(0, _VIBRATION, down.shape)
    rates = turn + rng.normal(0, _GYRO_NOISE, down.shape) + rng.normal(0, _GYRO_BIAS, 3)
    gravity, found, sample = GravityFilter(1.0), [], 0
    for time_s, mount in zip(times, mounts):
        while sample < len(fine) and fine[sample] <= time_s + 1e-9:
            gravity.update(fine[sample], force[sample], rates[sample])
            sample += 1
        found.append(None if gravity.down is None else
                     Mount(tuple(float(v) for v in gravity.down), mount.height))
    return found


def points_of(depth: np.ndarray, intrinsics: Intrinsics, rng: np.random.Generator) -> np.ndarray:
    """Sparse metric points on the surfaces of a depth image, with noise; one in ten is wrong.

    :return: float (N, 3), optical frame, metres.
    """
    rows, columns = np.nonzero(np.isfinite(depth) & (depth < 40))
    chosen = rng.choice(len(rows), min(POINTS, len(rows)), replace=False)
    v, u = rows[chosen], columns[chosen]
    z = depth[v, u] * rng.normal(1, _POINT_NOISE, len(chosen))
    wrong = rng.random(len(z)) < _WRONG_POINTS
    z[wrong] = rng.uniform(0.5, 20, np.count_nonzero(wrong))
    return np.stack([(u - intrinsics.cx) / intrinsics.fx * z,
                     (v - intrinsics.cy) / intrinsics.fy * z, z], 1)


def disparity_of(depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a model of disparity might say: true depth with noise, an arbitrary scale and shift."""
    # Blobs, not grain: neighbouring pixels of a network err alike.
    noise = cv2.GaussianBlur(rng.normal(0, 1, depth.shape), (0, 0), 6)
    inverse = np.nan_to_num(1 / depth) * (1 + _DISPARITY_NOISE * noise / noise.std())
    return ((inverse - 0.03) / 0.004).astype(np.float32)

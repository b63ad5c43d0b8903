"""Messages of sensors as a driver would send them, in few words."""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import Imu, PointCloud2
from std_msgs.msg import Header

from dense_perception.ros.clouds import cloud_from_points


def stamp_of(time_s: float) -> Time:
    nanoseconds = round(time_s * 1e9)
    return Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)


def imu_message(time_s: float, acceleration: tuple[float, ...] | np.ndarray,
                rate: tuple[float, ...] | np.ndarray = (0, 0, 0),
                orientation: tuple[float, ...] | None = None, frame_id: str = 'imu') -> Imu:
    """Imu message; without ``orientation`` it says that there is none (REP-145)."""
    msg = Imu(header=Header(stamp=stamp_of(time_s), frame_id=frame_id))
    force, turn, q = msg.linear_acceleration, msg.angular_velocity, msg.orientation
    force.x, force.y, force.z = (float(v) for v in acceleration)
    turn.x, turn.y, turn.z = (float(v) for v in rate)
    if orientation is None:
        msg.orientation_covariance[0] = -1.0
    else:
        q.x, q.y, q.z, q.w = (float(v) for v in orientation)
    return msg


def points_message(points: np.ndarray, time_s: float, frame_id: str) -> PointCloud2:
    """Unorganised cloud of float32 x, y and z."""
    records = np.zeros((1, len(points)), [(n, '<f4') for n in 'xyz'])
    for i, name in enumerate('xyz'):
        records[name][0] = points[:, i]
    return cloud_from_points(records, Header(stamp=stamp_of(time_s), frame_id=frame_id))

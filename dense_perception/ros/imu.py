"""Gravity from an inertial measurement unit, in the camera's optical frame, image by image."""

from __future__ import annotations

import math
import threading
from bisect import bisect
from collections import deque
from dataclasses import dataclass

import numpy as np
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import Imu
from std_msgs.msg import Header

from dense_perception.geometry.gravity import GravityFilter
from dense_perception.geometry.rotation import optical_from_body, rotation_matrix
from dense_perception.ros.parameters import Declaration, Parameters
from dense_perception.ros.stamps import seconds
from dense_perception.ros.transforms import Transforms

PARAMETERS = (
    Declaration('mount.imu_axes', 'tf', 'How the axes of the IMU lie: tf = as TF says; optical = '
                "as those of the camera's optical frame; body = x forward, y left, z up, with the "
                'camera fixed to it at mount.pitch and mount.roll.',
                choices=('tf', 'optical', 'body')),
    Declaration('mount.imu_gravity', 'auto', 'What of the Imu message counts; auto = the '
                'orientation if it is given, else the acceleration.',
                choices=('auto', 'orientation', 'acceleration')),
    Declaration('mount.imu_time_constant', 1.0, 'Seconds in which the acceleration corrects '
                'gravity; in between the angular velocity turns it.',
                minimum=0.05, maximum=60.0))

# A best-effort reader hears every publisher; the queue covers a busy moment at 1 kHz.
_QOS = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=100,
                  reliability=ReliabilityPolicy.BEST_EFFORT)
_SILENT = 'it has no sample near the time of the image'
_KEPT_S = 2.0
_NEAR_S = 0.2
_DISAGREEMENT = math.cos(math.radians(20))


class GravityUnavailable(LookupError):
    """The IMU does not tell where down is at that time; the message says why."""


@dataclass(frozen=True)
class _Sample:
    time_s: float
    frame_id: str
    down: np.ndarray  # IMU frame; between two samples not quite of length 1


class ImuGravity:
    """Listens to the topic ``imu`` and answers which way is down at the time of an image."""

    def __init__(self, node: Node, parameters: Parameters, transforms: Transforms) -> None:
        self._node = node
        self._parameters = parameters
        self._transforms = transforms
        self._filter = GravityFilter(parameters['mount.imu_time_constant'])
        self._lock = threading.Lock()
        self._samples: deque[_Sample] = deque()
        self._problem = 'nothing came on it'
        self._subscription: Subscription | None = None

    def listen(self, wanted: bool) -> None:
        """Listen, or stop: hundreds of messages a second are no use to a node at rest."""
        if wanted and self._subscription is None:
            self._subscription = self._node.create_subscription(Imu, 'imu', self._on_imu, _QOS)
        elif not wanted and self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def forget(self) -> None:
        """Drop the samples; the filter goes on with the next."""
        with self._lock:
            self._samples.clear()

    def down(self, header: Header) -> tuple[float, float, float]:
        """Unit vector along gravity in the frame and at the time of an image.

        :raises GravityUnavailable: the IMU has nothing usable near that time.
        :raises TransformUnavailable: TF does not know how the IMU lies.
        """
        sample = self._at(seconds(header.stamp))
        down = sample.down / np.linalg.norm(sample.down)
        x, y, z = self._optical_from(sample.frame_id, header) @ down
        return float(x), float(y), float(z)

    def _on_imu(self, msg: Imu) -> None:
        time_s = seconds(msg.header.stamp)
        force, rate = msg.linear_acceleration, msg.angular_velocity
        has_rate = msg.angular_velocity_covariance[0] != -1
        if msg.linear_acceleration_covariance[0] != -1:
            self._filter.update(time_s, (force.x, force.y, force.z),
                                (rate.x, rate.y, rate.z) if has_rate else (0.0, 0.0, 0.0))
        try:
            sample = _Sample(time_s, msg.header.frame_id, self._down_of(msg))
        except GravityUnavailable as error:
            with self._lock:
                self._problem = str(error)
            return
        with self._lock:
            self._problem = _SILENT
            if self._samples and time_s < self._samples[-1].time_s:
                self._samples.clear()  # a bag that starts again
            self._samples.append(sample)
            while time_s - self._samples[0].time_s > _KEPT_S:
                self._samples.popleft()

    def _down_of(self, msg: Imu) -> np.ndarray:
        use = self._parameters['mount.imu_gravity']
        measured = self._filter.down
        oriented = None if use == 'acceleration' else _down_of_orientation(
            msg, identity_counts=use == 'orientation')
        if oriented is None:
            if use == 'orientation':
                raise GravityUnavailable('its orientation is absent, zero or not finite')
            if measured is None:
                raise GravityUnavailable('its acceleration has not been near 9.8 m/s^2 for long '
                                         'enough')
            return measured
        if use == 'auto' and measured is not None and oriented @ measured < _DISAGREEMENT:
            raise GravityUnavailable('its orientation and its acceleration disagree about down; '
                                     'choose one of them with mount.imu_gravity')
        return oriented

    def _at(self, time_s: float) -> _Sample:
        with self._lock:
            samples, problem = list(self._samples), self._problem
        after = bisect([s.time_s for s in samples], time_s)
        near = [s for s in samples[max(after - 1, 0):after + 1]
                if abs(s.time_s - time_s) <= _NEAR_S]
        if not near:
            raise GravityUnavailable(problem if after == len(samples) else _SILENT)
        first, last = near[0], near[-1]
        if last.time_s == first.time_s or first.frame_id != last.frame_id:
            return first
        share = (time_s - first.time_s) / (last.time_s - first.time_s)
        return _Sample(time_s, first.frame_id, first.down + share * (last.down - first.down))

    def _optical_from(self, imu_frame: str, header: Header) -> np.ndarray:
        axes = self._parameters['mount.imu_axes']
        if axes == 'body':
            return optical_from_body(self._parameters['mount.pitch'],
                                     self._parameters['mount.roll'])
        if axes == 'optical' or imu_frame == header.frame_id:
            return np.eye(3)
        _, quaternion = self._transforms.lookup(header.frame_id, imu_frame, header.stamp)
        try:
            return rotation_matrix(quaternion)
        except ValueError as error:
            raise GravityUnavailable(f'TF to its frame: {error}') from None


def _down_of_orientation(msg: Imu, identity_counts: bool) -> np.ndarray | None:
    """Down in the IMU's frame; None where the message has no orientation.

    :param identity_counts: take an exact identity for measured. Drivers that never fill the field
        leave it so, and where it is true the acceleration says the same.
    """
    q = (msg.orientation.x, msg.orientation.y, msg.orientation.z, msg.orientation.w)
    if msg.orientation_covariance[0] == -1:
        return None
    if q == (0.0, 0.0, 0.0, 1.0) and not identity_counts:
        return None
    try:
        return -rotation_matrix(q)[2]  # REP-145: the world's z is up
    except ValueError:
        return None

"""Where the node learns how its camera is mounted: parameters, a topic, TF or an IMU."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from rclpy.node import Node
from std_msgs.msg import Header

from dense_perception.geometry.jumps import JumpGate
from dense_perception.geometry.mount import Mount, MountError
from dense_perception.ros import imu
from dense_perception.ros.parameters import Declaration, Parameters
from dense_perception.ros.qos import LATCHED
from dense_perception.ros.stamps import frame_seconds
from dense_perception.ros.transforms import (
    Pose,
    Transforms,
    TransformUnavailable,
    mount_from_pose,
)
from dense_perception_msgs.msg import CameraMount

SOURCES = ('auto', 'parameters', 'topic', 'tf', 'imu', 'none')

PARAMETERS = (
    Declaration('mount.source', 'auto', 'Where height and gravity come from; auto takes the '
                'parameters if mount.height is above 0, else the topic camera_mount once '
                'something came on it, else TF. imu: gravity from the topic imu, height from '
                'mount.height or else TF.', choices=SOURCES),
    Declaration('mount.height', 0.0, 'Height of the camera above the ground in metres; '
                '0 = unknown.', minimum=0.0, maximum=1000.0, dynamic=True),
    Declaration('mount.pitch', 0.0, 'Pitch of the camera in radians, above 0 looking down.',
                minimum=-1.6, maximum=1.6, dynamic=True),
    Declaration('mount.roll', 0.0, 'Roll of the camera in radians, above 0 turning clockwise '
                'as seen from behind it.', minimum=-3.2, maximum=3.2, dynamic=True),
    Declaration('mount.ground_frame', 'base_footprint', 'TF frame on the ground, z up, that '
                'height and gravity are looked up in.'),
    *imu.PARAMETERS)

# Faster than this no robot tilts or lifts its camera; the constants are for noise.
_TILT, _TILT_RATE = 0.1, 4.0  # rad, rad/s
_LIFT, _LIFT_RATE = 0.1, 1.5  # m, m/s
_JUMP_CONFIRM_S = 0.5


@dataclass(frozen=True)
class MountReading:
    """A mount and its source, or None and the reason why there is none."""

    mount: Mount | None
    source: str = ''
    problem: str = ''


def needs_transforms(parameters: Parameters) -> bool:
    """Whether a MountProvider with these parameters may look something up in TF."""
    return parameters['mount.source'] in ('auto', 'tf', 'imu')


class MountProvider:
    """Answers how the camera is mounted for each image.

    What is measured from image to image (TF, the IMU) may not jump: after a change faster than a
    camera can move the mount is unknown until the change would have been possible in the time
    since, at the latest until it has stood for half a second.

    :param transforms: where TF comes from.
    """

    def __init__(self, node: Node, parameters: Parameters, transforms: Transforms) -> None:
        self._parameters = parameters
        self._transforms = transforms
        self._received: MountReading | None = None
        source = parameters['mount.source']
        self._subscription = node.create_subscription(
            CameraMount, 'camera_mount', self._on_mount, LATCHED) \
            if source in ('auto', 'topic') else None
        self._imu = imu.ImuGravity(node, parameters, transforms) if source == 'imu' else None
        self._gate: JumpGate[Mount] = JumpGate(_implausible, _JUMP_CONFIRM_S)

    def listen(self, wanted: bool) -> None:
        """Listen to the IMU if it counts, or stop."""
        if self._imu is not None:
            self._imu.listen(wanted)

    def forget(self) -> None:
        """Time runs backwards: samples of another time do not count any more."""
        if self._imu is not None:
            self._imu.forget()

    def at(self, header: Header) -> MountReading:
        """Mount at the time of an image out of turn, held against none before it."""
        return self._read(header, lambda reading, _: reading)

    def read(self, header: Header) -> MountReading:
        """Mount of the camera that took the image with this header; never waits."""
        return self._read(header, self._steady)

    def _read(self, header: Header,
              steady: Callable[[MountReading, Header], MountReading]) -> MountReading:
        readers = {'parameters': self._from_parameters, 'topic': self._from_topic,
                   'tf': lambda: steady(self._from_tf(header), header),
                   'imu': lambda: steady(self._from_imu(header), header),
                   'none': lambda: MountReading(None, problem='mount.source is none')}
        source = self._parameters['mount.source']
        if source != 'auto':
            return readers[source]()
        problems = []
        for name in ('parameters', 'topic', 'tf'):
            reading = readers[name]()
            if reading.mount is not None:
                return reading
            problems.append(reading.problem)
        return MountReading(None, problem='; '.join(problems))

    def _from_parameters(self) -> MountReading:
        height, pitch, roll = (self._parameters[f'mount.{n}'] for n in ('height', 'pitch', 'roll'))
        if height == 0:
            return MountReading(None, problem='parameter mount.height is not set')
        return MountReading(Mount.from_pitch_roll(pitch, roll, height), 'parameters')

    def _from_topic(self) -> MountReading:
        return self._received or MountReading(
            None, problem='nothing came on the topic camera_mount')

    def _from_tf(self, header: Header) -> MountReading:
        try:
            return MountReading(mount_from_pose(*self._pose(header)), 'tf')
        except (TransformUnavailable, MountError) as error:
            return MountReading(None, problem=f'TF: {error}')

    def _from_imu(self, header: Header) -> MountReading:
        assert self._imu is not None
        height = self._parameters['mount.height']
        try:
            if height == 0:
                height = self._pose(header)[0][2]
            return MountReading(Mount(self._imu.down(header), height), 'imu')
        except imu.GravityUnavailable as error:
            return MountReading(None, problem=f'topic imu: {error}')
        except (TransformUnavailable, MountError) as error:
            return MountReading(None, problem=f'imu: {error}')

    def _pose(self, header: Header) -> Pose:
        return self._transforms.lookup(self._parameters['mount.ground_frame'], header.frame_id,
                                       header.stamp)

    def _steady(self, reading: MountReading, header: Header) -> MountReading:
        if reading.mount is None or self._gate.passes(reading.mount,
                                                      frame_seconds(header.stamp)):
            return reading
        return MountReading(None, problem=f'{reading.source}: gravity or height jumps between '
                            'images faster than a camera can move')

    def _on_mount(self, msg: CameraMount) -> None:
        self._received = mount_from_message(msg)


def mount_from_message(msg: CameraMount) -> MountReading:
    """Mount of a CameraMount message."""
    gravity = (msg.gravity.x, msg.gravity.y, msg.gravity.z)
    if msg.height == 0:
        return MountReading(None, problem='topic camera_mount says that the mount is unknown')
    try:
        return MountReading(Mount(gravity, msg.height), 'topic')
    except MountError as error:
        return MountReading(None, problem=f'topic camera_mount: {error}')


def message_from_mount(mount: Mount | None, header: Header) -> CameraMount:
    """CameraMount message of a mount; None gives one that says "unknown"."""
    msg = CameraMount(header=header)
    if mount is not None:
        msg.height = mount.height
        msg.gravity.x, msg.gravity.y, msg.gravity.z = mount.down
    return msg


def _implausible(earlier: Mount, later: Mount, seconds: float) -> bool:
    cosine = sum(a * b for a, b in zip(earlier.down, later.down))
    tilt = math.acos(min(1.0, max(-1.0, cosine)))
    return (tilt > _TILT + _TILT_RATE * seconds
            or abs(later.height - earlier.height) > _LIFT + _LIFT_RATE * seconds)

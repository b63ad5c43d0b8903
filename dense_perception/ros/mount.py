"""Where the node learns how its camera is mounted: parameters, a topic or TF."""

from __future__ import annotations

from dataclasses import dataclass

from rclpy.node import Node
from std_msgs.msg import Header

from dense_perception.geometry.mount import Mount, MountError
from dense_perception.ros.parameters import Declaration, Parameters
from dense_perception.ros.qos import LATCHED
from dense_perception.ros.transforms import (
    Transforms,
    TransformUnavailable,
    mount_from_pose,
    open_transforms,
)
from dense_perception_msgs.msg import CameraMount

SOURCES = ('auto', 'parameters', 'topic', 'tf', 'none')

PARAMETERS = (
    Declaration('mount.source', 'auto', 'Where height and gravity come from; auto takes the '
                'parameters if mount.height is above 0, else the topic camera_mount once '
                'something came on it, else TF.', choices=SOURCES),
    Declaration('mount.height', 0.0, 'Height of the camera above the ground in metres; '
                '0 = unknown.', minimum=0.0, maximum=1000.0, dynamic=True),
    Declaration('mount.pitch', 0.0, 'Pitch of the camera in radians, above 0 looking down.',
                minimum=-1.6, maximum=1.6, dynamic=True),
    Declaration('mount.roll', 0.0, 'Roll of the camera in radians, above 0 turning clockwise '
                'as seen from behind it.', minimum=-3.2, maximum=3.2, dynamic=True),
    Declaration('mount.ground_frame', 'base_footprint', 'TF frame on the ground, z up, that '
                'height and gravity are looked up in.'))


@dataclass(frozen=True)
class MountReading:
    """A mount and its source, or None and the reason why there is none."""

    mount: Mount | None
    source: str = ''
    problem: str = ''


class MountProvider:
    """Answers how the camera is mounted for each image.

    :param transforms: where TF comes from; default tf2_ros if it is installed.
    """

    def __init__(self, node: Node, parameters: Parameters,
                 transforms: Transforms | None = None) -> None:
        self._parameters = parameters
        self._received: MountReading | None = None
        source = parameters['mount.source']
        self._subscription = node.create_subscription(
            CameraMount, 'camera_mount', self._on_mount, LATCHED) \
            if source in ('auto', 'topic') else None
        self._transforms = (transforms or open_transforms(node)) \
            if source in ('auto', 'tf') else None

    def read(self, header: Header) -> MountReading:
        """Mount of the camera that took the image with this header; never waits."""
        readers = {'parameters': self._from_parameters, 'topic': self._from_topic,
                   'tf': lambda: self._from_tf(header),
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
        assert self._transforms is not None
        try:
            pose = self._transforms.lookup(self._parameters['mount.ground_frame'],
                                           header.frame_id, header.stamp)
            return MountReading(mount_from_pose(*pose), 'tf')
        except (TransformUnavailable, MountError) as error:
            return MountReading(None, problem=f'TF: {error}')

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

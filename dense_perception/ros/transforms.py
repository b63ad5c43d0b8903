"""Where transforms between frames come from: tf2_ros where it is installed."""

from __future__ import annotations

from typing import Protocol

from builtin_interfaces.msg import Time
from rclpy.node import Node
from rclpy.time import Time as RclTime

from dense_perception.geometry.mount import Mount, MountError
from dense_perception.geometry.rotation import rotation_matrix

Pose = tuple[tuple[float, float, float], tuple[float, float, float, float]]
"""Translation in metres and quaternion x, y, z, w."""

_NEWEST_WITHIN_NS = 500_000_000


class TransformUnavailable(LookupError):
    """A transform that nobody knows (yet); the message says which and why."""


class Transforms(Protocol):
    """The one question this package asks of TF."""

    def lookup(self, target: str, source: str, stamp: Time) -> Pose:
        """Pose of frame ``source`` in frame ``target``.

        :raises TransformUnavailable: it is not known at that time.
        """

    def clear(self) -> None:
        """Forget what was received: time runs backwards."""


class NoTransforms:
    """Stand-in where tf2_ros is not installed: every lookup says so."""

    def lookup(self, target: str, source: str, stamp: Time) -> Pose:
        """Raise TransformUnavailable."""
        raise TransformUnavailable('tf2_ros is not installed; install ros-$ROS_DISTRO-tf2-ros-py '
                                   'or give the mount as parameters')

    def clear(self) -> None:
        """Nothing is known."""


class Tf2Transforms:
    """Transforms from /tf and /tf_static through tf2_ros."""

    def __init__(self, node: Node) -> None:
        import tf2_ros
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node)
        self._error = tf2_ros.TransformException

    def lookup(self, target: str, source: str, stamp: Time) -> Pose:
        """Pose at ``stamp``, without waiting; the newest one if it is at most half a second older.

        A moving robot's transforms arrive a little after the image, and a camera's height and
        tilt change little in that time.
        """
        wanted = RclTime.from_msg(stamp)
        try:
            try:
                found = self._buffer.lookup_transform(target, source, wanted)
            except self._error:
                found = self._buffer.lookup_transform(target, source, RclTime())
                age = wanted - RclTime.from_msg(found.header.stamp)
                if abs(age.nanoseconds) > _NEWEST_WITHIN_NS:
                    raise
        except self._error as error:
            # tf2's own sentence has times in it, so it would be a new one for every image.
            raise TransformUnavailable(
                f'no transform from "{source}" to "{target}" at the time of the image '
                f'({type(error).__name__})') from None
        t, q = found.transform.translation, found.transform.rotation
        return (t.x, t.y, t.z), (q.x, q.y, q.z, q.w)

    def clear(self) -> None:
        """Forget all but static transforms, which tf2 keeps apart."""
        self._buffer.clear()


def open_transforms(node: Node) -> Transforms:
    """Tf2Transforms where tf2_ros is importable, else NoTransforms."""
    try:
        return Tf2Transforms(node)
    except ImportError:
        return NoTransforms()


def mount_from_pose(translation: tuple[float, float, float],
                    quaternion: tuple[float, float, float, float]) -> Mount:
    """Mount of a camera from the pose of its optical frame in the ground frame.

    :param translation: of the optical frame's origin; its z is the height in metres.
    :param quaternion: x, y, z, w, of any non-zero length.
    :raises MountError: the camera is not above the ground, or the quaternion is zero.
    """
    try:
        rotation = rotation_matrix(quaternion)
    except ValueError as error:
        raise MountError(str(error)) from None
    # -(third row of the rotation matrix): the ground's "down" seen from the optical frame.
    return Mount(tuple(float(-v) for v in rotation[2]), float(translation[2]))

"""Mounts from parameters, topic and TF, and which of them counts."""

from __future__ import annotations

import math
import sys
import types
from collections.abc import Iterator

import numpy as np
import pytest
import rclpy
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from helpers.graph import Graph
from helpers.messages import imu_message, stamp_of
from rclpy.parameter import Parameter
from std_msgs.msg import Header

from dense_perception.geometry.mount import Mount, MountError
from dense_perception.ros.mount import (
    PARAMETERS,
    MountProvider,
    message_from_mount,
    mount_from_message,
)
from dense_perception.ros.parameters import Parameters
from dense_perception.ros.transforms import (
    NoTransforms,
    Tf2Transforms,
    TransformUnavailable,
    mount_from_pose,
    open_transforms,
)

HEADER = Header(frame_id='camera_optical_frame', stamp=Time(sec=100))


def optical_in_ground(pitch: float, roll: float, yaw: float) -> tuple[float, ...]:
    """Quaternion of an optical frame in a ground frame (x forward, z up), REP-103 angles."""
    def rotation(axis: int, angle: float) -> np.ndarray:
        c, s = math.cos(angle), math.sin(angle)
        a, b = ((1, 2), (2, 0), (0, 1))[axis]
        matrix = np.eye(3)
        matrix[a, a] = matrix[b, b] = c
        matrix[a, b], matrix[b, a] = -s, s
        return matrix

    body_from_optical = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0.0]])
    r = rotation(2, yaw) @ rotation(1, pitch) @ rotation(0, roll) @ body_from_optical
    w = math.sqrt(max(0.0, 1 + np.trace(r))) / 2
    if w > 1e-3:
        return ((r[2, 1] - r[1, 2]) / (4 * w), (r[0, 2] - r[2, 0]) / (4 * w),
                (r[1, 0] - r[0, 1]) / (4 * w), w)
    x, y, z = np.linalg.eigh(r + r.T)[1][:, -1]
    return x, y, z, 0.0


@pytest.mark.parametrize(('pitch', 'roll', 'yaw'), [
    (0, 0, 0), (0.4, 0, 0), (-0.2, 0, 1.0), (0.3, 0.1, -2.0), (0.1, -0.4, 0.5)])
def test_pose_and_angles_give_the_same_mount(pitch: float, roll: float, yaw: float):
    found = mount_from_pose((3.0, -2.0, 0.9), optical_in_ground(pitch, roll, yaw))
    np.testing.assert_allclose(found.down, Mount.from_pitch_roll(pitch, roll, 0.9).down, atol=1e-9)
    assert found.height == 0.9


@pytest.mark.parametrize(('translation', 'quaternion'), [
    ((0, 0, -0.1), (0, 0, 0, 1)), ((0, 0, 1), (0, 0, 0, 0)), ((0, 0, 1), (math.nan, 0, 0, 1))])
def test_impossible_pose(translation: tuple, quaternion: tuple):
    with pytest.raises(MountError):
        mount_from_pose(translation, quaternion)


def test_message_and_back():
    mount = Mount.from_pitch_roll(0.3, 0.1, 0.8)
    found = mount_from_message(message_from_mount(mount, HEADER))
    np.testing.assert_allclose(found.mount.down, mount.down)
    assert (found.mount.height, found.source) == (0.8, 'topic')
    unknown = mount_from_message(message_from_mount(None, HEADER))
    assert unknown.mount is None and 'unknown' in unknown.problem


class FixedTransforms:
    """TF that knows one frame."""

    def lookup(self, target: str, source: str, stamp: Time):
        if (target, source) != ('base_footprint', HEADER.frame_id):
            raise TransformUnavailable(f'"{target}" does not exist')
        return (0.0, 0.0, 1.2), optical_in_ground(0.25, 0, 0)


def provider(graph: Graph, transforms: object = None, **values: object) -> MountProvider:
    node = rclpy.create_node('mounts', context=graph.node.context, parameter_overrides=[
        Parameter(name.replace('__', '.'), value=value) for name, value in values.items()])
    return MountProvider(node, Parameters(node, PARAMETERS), transforms or FixedTransforms())


def test_parameters_go_before_topic_and_tf(graph: Graph):
    mounts = provider(graph, mount__height=0.7, mount__pitch=0.3)
    reading = mounts.read(HEADER)
    assert (reading.source, reading.mount) == ('parameters', Mount.from_pitch_roll(0.3, 0, 0.7))


def test_tf_is_taken_where_nothing_else_is_known(graph: Graph):
    mounts = provider(graph)
    reading = mounts.read(HEADER)
    assert (reading.source, reading.mount.height) == ('tf', 1.2)
    np.testing.assert_allclose(reading.mount.down, Mount.from_pitch_roll(0.25, 0, 1).down,
                               atol=1e-9)
    lost = mounts.read(Header(frame_id='elsewhere'))
    assert lost.mount is None
    assert lost.problem.count(';') == 2 and 'does not exist' in lost.problem


class MovingTransforms(FixedTransforms):
    """TF whose camera stands where the test says."""

    height, pitch = 1.2, 0.25

    def lookup(self, target: str, source: str, stamp: Time):
        if source == HEADER.frame_id:
            return (0.0, 0.0, self.height), optical_in_ground(self.pitch, 0, 0)
        return super().lookup(target, source, stamp)


def at(seconds: float) -> Header:
    return Header(frame_id=HEADER.frame_id, stamp=stamp_of(seconds))


@pytest.mark.parametrize(('height', 'pitch'), [(3.0, 0.25), (1.2, -2.5)],
                         ids=['height', 'tilt'])
def test_tf_that_jumps_is_believed_after_half_a_second(graph: Graph, height: float, pitch: float):
    transforms = MovingTransforms()
    mounts = provider(graph, transforms, mount__source='tf')
    assert all(mounts.read(at(100 + 0.1 * i)).mount for i in range(10))
    transforms.height, transforms.pitch = height, pitch
    readings = [mounts.read(at(101 + 0.1 * i)) for i in range(8)]
    assert [r.mount is None for r in readings] == [True] * 5 + [False] * 3
    assert readings[0].problem == ('tf: gravity or height jumps between images faster than a '
                                   'camera can move')
    assert readings[-1].mount.height == height


def test_two_publishers_of_one_tf_are_not_believed(graph: Graph):
    transforms = MovingTransforms()
    mounts = provider(graph, transforms, mount__source='tf')
    found = []
    for i in range(30):
        transforms.height = 1.2 if i % 2 else 0.4
        found.append(mounts.read(at(100 + 0.05 * i)).mount)
    assert {m.height for m in found if m} == {0.4} and found.count(None) == 15


def test_a_robot_that_moves_as_robots_do_is_followed(graph: Graph):
    transforms = MovingTransforms()
    mounts = provider(graph, transforms, mount__source='tf')
    for i in range(50):
        transforms.pitch = 0.25 + 0.3 * math.sin(6 * i / 15)  # up to 1.8 rad/s at 15 Hz
        transforms.height = 1.2 + 0.4 * math.sin(2 * i / 15)
        assert mounts.read(at(100 + i / 15)).mount.height == transforms.height


def imu_provider(graph: Graph, transforms: object, **values: object) -> MountProvider:
    mounts = provider(graph, transforms, mount__source='imu', mount__imu_axes='body', **values)
    for i in range(101):
        mounts._imu._on_imu(imu_message(100 + i / 100, (0, 0, 9.81)))
    return mounts


def test_imu_takes_the_height_of_the_parameter_or_else_of_tf(graph: Graph):
    mounts = imu_provider(graph, NoTransforms(), mount__height=0.7, mount__pitch=0.2)
    reading = mounts.read(at(101))
    assert (reading.source, reading.mount.height) == ('imu', 0.7)
    np.testing.assert_allclose(reading.mount.down, Mount.from_pitch_roll(0.2, 0, 1).down,
                               atol=1e-6)
    assert imu_provider(graph, MovingTransforms()).read(at(101)).mount.height == 1.2
    unknown = imu_provider(graph, NoTransforms()).read(at(101))
    assert unknown.mount is None and unknown.problem.startswith('imu: tf2_ros is not installed')
    underground = MovingTransforms()
    underground.height = -0.5
    assert 'camera height -0.5 m' in imu_provider(graph, underground).read(at(101)).problem


def test_silent_imu_is_no_mount_even_with_pitch_parameters(graph: Graph):
    """The parameters are then only where the camera sits on the body, not how the body leans."""
    mounts = imu_provider(graph, NoTransforms(), mount__height=0.7, mount__pitch=0.2)
    reading = mounts.read(at(101.5))
    assert reading.mount is None
    assert reading.problem == 'topic imu: it has no sample near the time of the image'


@pytest.mark.parametrize(('source', 'words'), [
    ('none', 'mount.source is none'), ('parameters', 'mount.height is not set'),
    ('topic', 'nothing came on the topic')])
def test_only_the_named_source_counts(graph: Graph, source: str, words: str):
    reading = provider(graph, mount__source=source).read(HEADER)
    assert reading.mount is None and words in reading.problem


def test_without_tf2_every_lookup_says_so():
    with pytest.raises(TransformUnavailable, match='tf2_ros is not installed'):
        NoTransforms().lookup('a', 'b', Time())


@pytest.fixture
def tf2(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict]:
    """The part of tf2_ros that is used, with transforms by age in seconds.

    tf2_ros has no wheel; where it is installed the real one is used by the same three calls.
    """
    known: dict = {'stamp': None}

    class TransformException(Exception):
        pass

    class ExtrapolationException(TransformException):
        pass

    class Buffer:
        def lookup_transform(self, target: str, source: str, time) -> TransformStamped:
            newest = known['stamp']
            if newest is None or (time.nanoseconds and time.nanoseconds > newest * 10**9):
                raise ExtrapolationException('extrapolation into the future')
            found = TransformStamped()
            found.header.stamp.sec = newest
            found.transform.translation.z = 1.5
            return found

    module = types.ModuleType('tf2_ros')
    module.Buffer, module.TransformException = Buffer, TransformException
    module.TransformListener = lambda buffer, node: None
    monkeypatch.setitem(sys.modules, 'tf2_ros', module)
    yield known


def test_tf2_newest_transform_may_be_a_little_old(tf2: dict, graph: Graph):
    transforms = open_transforms(graph.node)
    assert isinstance(transforms, Tf2Transforms)
    with pytest.raises(TransformUnavailable, match='ExtrapolationException'):
        transforms.lookup('base_footprint', 'camera', Time(sec=100))
    tf2['stamp'] = 100
    for stamp in (Time(sec=100), Time(sec=100, nanosec=400_000_000)):
        assert transforms.lookup('base_footprint', 'camera', stamp)[0] == (0, 0, 1.5)
    with pytest.raises(TransformUnavailable, match='ExtrapolationException'):
        transforms.lookup('base_footprint', 'camera', Time(sec=101))

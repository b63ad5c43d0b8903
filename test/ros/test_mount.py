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


def provider(graph: Graph, **values: object) -> MountProvider:
    node = rclpy.create_node('mounts', context=graph.node.context, parameter_overrides=[
        Parameter(name.replace('__', '.'), value=value) for name, value in values.items()])
    return MountProvider(node, Parameters(node, PARAMETERS), FixedTransforms())


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

    class Buffer:
        def lookup_transform(self, target: str, source: str, time) -> TransformStamped:
            newest = known['stamp']
            if newest is None or (time.nanoseconds and time.nanoseconds > newest * 10**9):
                raise TransformException('extrapolation into the future')
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
    with pytest.raises(TransformUnavailable, match='extrapolation'):
        transforms.lookup('base_footprint', 'camera', Time(sec=100))
    tf2['stamp'] = 100
    for stamp in (Time(sec=100), Time(sec=100, nanosec=400_000_000)):
        assert transforms.lookup('base_footprint', 'camera', stamp)[0] == (0, 0, 1.5)
    with pytest.raises(TransformUnavailable, match='extrapolation'):
        transforms.lookup('base_footprint', 'camera', Time(sec=101))

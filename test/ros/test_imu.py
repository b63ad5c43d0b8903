"""Gravity out of Imu messages: what counts, in which frame and when, and why there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
import rclpy
from helpers.graph import Graph
from helpers.messages import imu_message, stamp_of
from rclpy.parameter import Parameter
from std_msgs.msg import Header

from dense_perception.geometry.mount import Mount
from dense_perception.ros import mount
from dense_perception.ros.imu import GravityUnavailable, ImuGravity
from dense_perception.ros.parameters import Parameters
from dense_perception.ros.transforms import NoTransforms, TransformUnavailable

OPTICAL = 'camera_optical_frame'
UP = np.array([0, 0, 9.81])
# x forward, y left, z up, seen from x right, y down, z forward.
BODY_IN_OPTICAL = (0.5, -0.5, 0.5, 0.5)


class FixedTransforms:
    """TF that knows how a body-like IMU lies in the optical frame."""

    def lookup(self, target: str, source: str, stamp):
        if (target, source) != (OPTICAL, 'imu'):
            raise TransformUnavailable(f'no transform from {source} to {target}')
        return (0.1, 0.2, 0.3), BODY_IN_OPTICAL


def listener(graph: Graph, transforms=None, **values: object) -> ImuGravity:
    node = rclpy.create_node('imu_listener', context=graph.node.context, parameter_overrides=[
        Parameter(f'mount.{name}', value=value) for name, value in values.items()])
    return ImuGravity(node, Parameters(node, mount.PARAMETERS), transforms or FixedTransforms())


def image(time_s: float, frame_id: str = OPTICAL) -> Header:
    return Header(stamp=stamp_of(time_s), frame_id=frame_id)


def tilted(pitch: float) -> tuple[float, ...]:
    """Orientation of a body that looks down by ``pitch``."""
    return 0.0, math.sin(pitch / 2), 0.0, math.cos(pitch / 2)


def feed(imu: ImuGravity, seconds: float = 1.0, start: float = 100.0, **message: object) -> None:
    for i in range(int(100 * seconds) + 1):
        imu._on_imu(imu_message(start + i / 100, **({'acceleration': UP} | message)))


def test_acceleration_of_a_level_body_through_tf(graph: Graph):
    imu = listener(graph)
    feed(imu)
    np.testing.assert_allclose(imu.down(image(101.0)), (0, 1, 0), atol=1e-6)


def test_orientation_is_taken_at_the_time_of_the_image(graph: Graph):
    """The image lies between two samples of a nodding body; one after the last takes that."""
    imu = listener(graph)
    for i, pitch in enumerate((0.1, 0.2, 0.3)):
        imu._on_imu(imu_message(100 + 0.1 * i, (0, 0, 0), orientation=tilted(pitch)))
    for time_s, pitch in ((100.05, 0.15), (100.1, 0.2), (100.29, 0.3)):
        np.testing.assert_allclose(imu.down(image(time_s)),
                                   Mount.from_pitch_roll(pitch, 0, 1).down, atol=1e-3)


@pytest.mark.parametrize('time_s', [99.7, 101.3])
def test_a_sample_too_far_from_the_image_does_not_count(graph: Graph, time_s: float):
    imu = listener(graph)
    feed(imu)
    with pytest.raises(GravityUnavailable, match='no sample near the time of the image'):
        imu.down(image(time_s))


def test_a_gap_between_samples_is_not_bridged(graph: Graph):
    imu = listener(graph)
    for time_s in (100.0, 101.0):
        imu._on_imu(imu_message(time_s, UP, orientation=tilted(0.1)))
    with pytest.raises(GravityUnavailable, match='no sample near'):
        imu.down(image(100.5))


def test_body_axes_need_no_tf_and_carry_the_camera_at_pitch_and_roll(graph: Graph):
    imu = listener(graph, NoTransforms(), imu_axes='body', pitch=0.3, roll=0.1)
    feed(imu)
    np.testing.assert_allclose(imu.down(image(101.0)), Mount.from_pitch_roll(0.3, 0.1, 1).down,
                               atol=1e-6)
    feed(imu, start=101.5, orientation=tilted(0.2), acceleration=(0, 0, 0))
    np.testing.assert_allclose(imu.down(image(102.0)),
                               Mount.from_pitch_roll(0.3, 0.1, 1).down @ np.array(
                                   [[1, 0, 0], [0, math.cos(.2), math.sin(.2)],
                                    [0, -math.sin(.2), math.cos(.2)]]), atol=0.02)


@pytest.mark.parametrize(('axes', 'frame_id'), [('optical', 'imu'), ('tf', OPTICAL)])
def test_optical_axes_are_taken_as_they_are(graph: Graph, axes: str, frame_id: str):
    imu = listener(graph, NoTransforms(), imu_axes=axes)
    down = np.array([0.1, 0.9, 0.2]) / math.sqrt(0.86)
    feed(imu, acceleration=-9.81 * down, frame_id=frame_id)
    np.testing.assert_allclose(imu.down(image(101.0)), down, atol=1e-6)


def test_without_tf_the_reason_is_tfs(graph: Graph):
    imu = listener(graph, NoTransforms())
    feed(imu)
    with pytest.raises(TransformUnavailable, match='tf2_ros is not installed'):
        imu.down(image(101.0))


@pytest.mark.parametrize('orientation', [(0, 0, 0, 0), (math.nan, 0, 0, 1), (0, 0, 0, 1), None],
                         ids=['zero', 'nan', 'never filled in', 'none'])
def test_without_a_usable_orientation_the_acceleration_counts(graph: Graph,
                                                              orientation: tuple | None):
    imu = listener(graph)
    force = 9.81 * np.array([-math.sin(0.3), 0, math.cos(0.3)])
    feed(imu, acceleration=force, orientation=orientation)
    np.testing.assert_allclose(imu.down(image(101.0)), Mount.from_pitch_roll(0.3, 0, 1).down,
                               atol=1e-6)


def test_orientation_and_acceleration_that_disagree_are_both_refused(graph: Graph):
    """An orientation to a world whose z is down looks like this."""
    imu = listener(graph)
    feed(imu, seconds=2.0, acceleration=-UP, orientation=tilted(0.01))
    with pytest.raises(GravityUnavailable, match='disagree about down; choose one'):
        imu.down(image(102.0))
    for choice, expected in (('orientation', (0, 1, 0)), ('acceleration', (0, -1, 0))):
        chosen = listener(graph, imu_gravity=choice)
        feed(chosen, acceleration=-UP, orientation=tilted(0.01))
        np.testing.assert_allclose(chosen.down(image(101.0)), expected, atol=0.02)


@pytest.mark.parametrize(('values', 'message', 'reason'), [
    ({}, {'acceleration': (math.nan,) * 3}, 'has not been near 9.8'),
    ({}, {'acceleration': (0, 0, 1.0)}, 'has not been near 9.8'),  # in g, not in m/s^2
    ({'imu_gravity': 'orientation'}, {'orientation': (0, 0, 0, 0)}, 'absent, zero or not finite'),
    ({'imu_gravity': 'orientation'}, {}, 'absent, zero or not finite')])
def test_what_cannot_be_used_has_a_reason(graph: Graph, values: dict, message: dict, reason: str):
    imu = listener(graph, **values)
    with pytest.raises(GravityUnavailable, match='nothing came on it'):
        imu.down(image(100.0))
    feed(imu, **message)
    with pytest.raises(GravityUnavailable, match=reason):
        imu.down(image(101.0))


def test_a_bag_that_starts_again(graph: Graph):
    imu = listener(graph)
    feed(imu, start=500.0)
    feed(imu, start=100.0)
    np.testing.assert_allclose(imu.down(image(101.0)), (0, 1, 0), atol=1e-6)
    with pytest.raises(GravityUnavailable):
        imu.down(image(500.5))


def test_shaken_it_stays_within_a_degree(graph: Graph):
    imu, rng = listener(graph), np.random.default_rng(0)
    for i in range(600):
        shake = 4 * np.sin(2 * math.pi * 23 * i / 200 + np.arange(3)) + rng.normal(0, 0.5, 3)
        imu._on_imu(imu_message(100 + i / 200, UP + shake))
    down = np.array(imu.down(image(103.0)))
    assert math.degrees(math.acos(down @ (0, 1, 0))) < 1.5

"""The sources of scale: what makes a relative prediction metric, and why nothing does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import rclpy
from helpers.graph import Graph
from helpers.messages import points_message, stamp_of
from helpers.plane_model import plane_card
from rclpy.parameter import Parameter
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.mount import Mount
from dense_perception.inference.prediction import Prediction
from dense_perception.ros import cloud_settings, metres
from dense_perception.ros.mount import MountReading
from dense_perception.ros.parameters import Parameters
from dense_perception.ros.scale import Scaler, may_scale
from dense_perception.ros.scale_points import PointsUnavailable, xyz_of
from dense_perception.ros.transforms import NoTransforms, TransformUnavailable

CAMERA = Intrinsics(75.0, 76.0, 39.5, 31.5, 80, 64)
MOUNT = Mount.from_pitch_roll(0.3, 0.05, 0.8)
KNOWN = MountReading(MOUNT, 'parameters')
UNKNOWN = MountReading(None, problem='nobody said')
OPTICAL = 'camera_optical_frame'
DEPTH = np.fmin(MOUNT.ground_depth(CAMERA), 30).astype(np.float32)
DEPTH[20:44, 30:50] = np.minimum(DEPTH[20:44, 30:50], 1.4)  # a box
PARAMETERS = (*metres.PARAMETERS, *cloud_settings.PARAMETERS)
IMAGE = Header(stamp=stamp_of(100), frame_id=OPTICAL)


class LidarTransforms:
    """TF that knows a LiDAR: body axes, half a metre above the camera."""

    def lookup(self, target: str, source: str, stamp):
        if (target, source) != (OPTICAL, 'lidar'):
            raise TransformUnavailable(f'no transform from "{source}" to "{target}"')
        return (0.0, -0.5, 0.0), (0.5, -0.5, 0.5, 0.5)


def card(convention: str = 'inverse_affine', **changes: object):
    return plane_card(depth_convention=convention, **({'mount': 'none'} | changes))


def scaler(graph: Graph, source: str, model=None, **values: object) -> Scaler:
    overrides = {'source': source, 'smoothing': 0.0, 'hold': 0.0} | values
    node = rclpy.create_node('scaler', context=graph.node.context, parameter_overrides=[
        Parameter(f'scale.{name}', value=value) for name, value in overrides.items()])
    return Scaler(node, Parameters(node, PARAMETERS), model or card(), LidarTransforms())


def said(depth: np.ndarray = DEPTH, convention: str = 'inverse_affine',
         labels: np.ndarray | None = None, metric: bool = False) -> Prediction:
    values = {'inverse_affine': lambda: (1 / depth - 0.02) / 0.01, 'metric': lambda: depth / 2,
              'affine': lambda: (depth + 1) / 3}[convention]()
    return Prediction(depth=values.astype(np.float32), labels=labels, confidence=None,
                      metric=metric, stage_ms={'inference': 1.0})


def seen(count: int = 400, seed: int = 0, wrong: float = 0.0) -> np.ndarray:
    """Points on the surfaces of DEPTH, in the optical frame; a share of them where nothing is."""
    rng = np.random.default_rng(seed)
    u, v = rng.integers(0, 80, count), rng.integers(0, 64, count)
    z = np.where(rng.random(count) < wrong, rng.uniform(0.5, 20, count), DEPTH[v, u])
    return np.stack([(u - CAMERA.cx) / CAMERA.fx * z, (v - CAMERA.cy) / CAMERA.fy * z, z], 1)


def assert_metric(prediction: Prediction) -> None:
    assert prediction.metric
    np.testing.assert_allclose(prediction.depth, DEPTH, rtol=5e-3)
    assert prediction.stage_ms.keys() == {'inference', 'scale'}


@pytest.mark.parametrize('convention', ['inverse_affine', 'affine'])
def test_known_mount_and_ground_make_it_metric(graph: Graph, convention: str):
    scaling = scaler(graph, 'ground', card(convention))
    assert_metric(scaling.apply(said(convention=convention), IMAGE, CAMERA.resized(320, 240),
                                KNOWN))
    assert scaling.reading.source == 'ground' and scaling.reading.problem == ''
    values = scaling.describe()
    assert values['scale_source'] == 'ground' and float(values['scale_inliers']) > 0.7
    assert float(values['scale']) == pytest.approx(0.01 if convention != 'affine' else 3, rel=0.01)
    assert float(values['scale_drift_percent']) == 0


def test_ground_labels_of_the_model_are_used(graph: Graph):
    """Boxes fill most of the view; only the labels tell which of it is ground."""
    crowded = DEPTH.copy()
    rows, columns = np.mgrid[:64, :80]
    boxes = (columns % 10 < 8)
    crowded[boxes] *= np.random.default_rng(0).uniform(0.3, 0.7, (64, 80))[boxes]
    labels = boxes.astype(np.uint8)
    scaling = scaler(graph, 'ground')
    ours = scaling.apply(said(crowded, labels=labels), IMAGE, CAMERA, KNOWN)
    np.testing.assert_allclose(ours.depth, crowded, rtol=1e-2)
    blind = scaler(graph, 'ground', card(classes=(replace(card().classes[0], name='lawn'),
                                                  card().classes[1])))
    assert not blind.apply(said(crowded, labels=labels), IMAGE, CAMERA, KNOWN).metric
    assert 'too few samples agree' in blind.reading.problem


def test_points_in_the_frame_of_a_lidar_make_it_metric(graph: Graph):
    scaling = scaler(graph, 'points')
    optical = seen() - (0.0, -0.5, 0.0)
    body = np.stack([optical[:, 2], -optical[:, 0], -optical[:, 1]], 1)
    scaling._points._on_cloud(points_message(body, 100.1, 'lidar'))
    assert_metric(scaling.apply(said(), IMAGE, CAMERA, UNKNOWN))
    assert scaling.reading.source == 'points'


def test_the_points_nearest_in_time_count(graph: Graph):
    scaling = scaler(graph, 'points')
    for time_s, factor in ((99.8, 2.0), (100.02, 1.0), (100.2, 3.0)):
        scaling._points._on_cloud(points_message(factor * seen(), time_s, OPTICAL))
    assert_metric(scaling.apply(said(), IMAGE, CAMERA, UNKNOWN))


@pytest.mark.parametrize(('cloud', 'words'), [
    (lambda: None, 'nothing came on the topic scale_points'),
    (lambda: points_message(seen(), 100.4, OPTICAL), 'older or newer than the image'),
    (lambda: points_message(seen(), 99.6, OPTICAL), 'older or newer than the image'),
    (lambda: points_message(seen(), 100, 'sonar'), 'TF: no transform from "sonar"'),
    (lambda: points_message(seen(20), 100, OPTICAL), 'too few samples'),
    (lambda: points_message(np.empty((0, 3)), 100, OPTICAL), 'too few samples'),
    (lambda: points_message(np.full((200, 3), np.nan), 100, OPTICAL), 'too few samples'),
    (lambda: points_message(seen(wrong=0.75), 100, OPTICAL), 'too few samples agree'),
    (lambda: points_message(seen() * (1, 1, -1), 100, OPTICAL), 'too few samples'),
    (lambda: PointCloud2(header=IMAGE), 'no x, y and z'),
], ids=['none', 'newer', 'older', 'no tf', 'few', 'empty', 'nan', 'disagree', 'behind', 'no xyz'])
def test_points_that_cannot_be_used_leave_it_relative(
        graph: Graph, cloud: Callable[[], PointCloud2 | None], words: str):
    scaling = scaler(graph, 'points')
    if cloud() is not None:
        scaling._points._on_cloud(cloud())
    prediction = said()
    result = scaling.apply(prediction, IMAGE, CAMERA, KNOWN)
    assert not result.metric and result.depth is prediction.depth
    assert words in scaling.reading.problem and scaling.reading.source == ''
    assert scaling.describe() == {'scale_source': 'none'}


def test_a_third_of_wrong_points_does_no_harm(graph: Graph):
    scaling = scaler(graph, 'points')
    scaling._points._on_cloud(points_message(seen(800, wrong=0.33), 100, OPTICAL))
    assert_metric(scaling.apply(said(), IMAGE, CAMERA, UNKNOWN))


def test_auto_takes_points_then_ground_and_leaves_metric_depth_alone(graph: Graph):
    scaling = scaler(graph, 'auto')
    scaling.apply(said(), IMAGE, CAMERA, KNOWN)
    assert scaling.reading.source == 'ground'
    scaling._points._on_cloud(points_message(seen(), 100, OPTICAL))
    scaling.apply(said(), IMAGE, CAMERA, KNOWN)
    assert scaling.reading.source == 'points'
    scaling._points._clouds.clear()
    relative = scaling.apply(said(), IMAGE, CAMERA, UNKNOWN)
    assert not relative.metric
    assert scaling.reading.problem == (
        "points: nothing came on the topic scale_points; ground: the camera's mount is unknown "
        '(nobody said)')
    metric = said(metric=True)
    assert scaling.apply(metric, IMAGE, CAMERA, KNOWN) is metric


def test_without_intrinsics_nothing_is_metric(graph: Graph):
    scaling = scaler(graph, 'auto')
    assert not scaling.apply(said(), IMAGE, None, KNOWN).metric
    assert scaling.reading.problem == 'the intrinsics are unknown'


def test_a_named_source_scales_metric_depth_too_or_takes_that_name_away(graph: Graph):
    scaling = scaler(graph, 'ground', card('metric'))
    prediction = said(convention='metric', metric=True)  # half of what is true
    assert_metric(scaling.apply(prediction, IMAGE, CAMERA, KNOWN))
    assert scaling.reading.alignment.shift == 0
    assert not scaling.apply(prediction, IMAGE, CAMERA, UNKNOWN).metric


def test_none_changes_nothing(graph: Graph):
    scaling = scaler(graph, 'none')
    prediction = said()
    assert scaling.apply(prediction, IMAGE, CAMERA, KNOWN) is prediction
    assert scaling.reading.problem == ''


def test_a_scale_is_held_and_the_frame_says_so(graph: Graph):
    scaling = scaler(graph, 'ground', hold=1.0)
    assert_metric(scaling.apply(said(), IMAGE, CAMERA, KNOWN))
    wall = said(np.full((64, 80), 2.0, np.float32))
    later = Header(stamp=stamp_of(100.9), frame_id=OPTICAL)
    held = scaling.apply(wall, later, CAMERA, KNOWN)
    assert held.metric and np.allclose(held.depth, 2.0, rtol=5e-3)
    assert scaling.reading.problem.endswith('the last scale is held')
    later.stamp = stamp_of(101.1)
    assert not scaling.apply(wall, later, CAMERA, KNOWN).metric


@pytest.mark.parametrize(('source', 'model', 'expected'), [
    ('auto', card(), True), ('auto', card('metric'), False), ('points', card('metric'), True),
    ('auto', card('metric', mount='optional'), True), ('none', card(), False),
    ('points', card(outputs=('labels',)), False)])
def test_what_may_become_metric(graph: Graph, source: str, model, expected: bool):
    node = rclpy.create_node('parameters', context=graph.node.context,
                             parameter_overrides=[Parameter('scale.source', value=source)])
    assert may_scale(Parameters(node, PARAMETERS), model) == expected


def test_clouds_of_other_layouts():
    expected = np.arange(18, dtype=float).reshape(2, 3, 3)
    layout = np.dtype({'names': list('xyz'), 'formats': ['>f8'] * 3, 'offsets': [8, 16, 32],
                       'itemsize': 48})
    records = np.zeros((2, 4), layout)  # a fourth column that is only padding of the rows
    for i, name in enumerate('xyz'):
        records[name][:, :3] = expected[..., i]
    cloud = PointCloud2(height=2, width=3, point_step=48, row_step=4 * 48, is_bigendian=True,
                        data=records.tobytes(), fields=[
                            PointField(name=n, offset=o, datatype=PointField.FLOAT64, count=1)
                            for n, o in zip('xyz', (8, 16, 32))])
    np.testing.assert_array_equal(xyz_of(cloud), expected.reshape(-1, 3))
    cloud.width = 5
    with pytest.raises(PointsUnavailable, match='fewer bytes than it announces'):
        xyz_of(cloud)
    cloud.fields[0].datatype = PointField.INT16
    with pytest.raises(PointsUnavailable, match='no x, y and z of one float type'):
        xyz_of(cloud)


def test_no_transforms_is_a_reason(graph: Graph):
    node = rclpy.create_node('scaler', context=graph.node.context)
    scaling = Scaler(node, Parameters(node, PARAMETERS), card(), NoTransforms())
    scaling._points._on_cloud(points_message(seen(), 100, 'lidar'))
    assert not scaling.apply(said(), IMAGE, CAMERA, UNKNOWN).metric
    assert 'tf2_ros is not installed' in scaling.reading.problem

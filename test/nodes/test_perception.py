"""The perception node as a process: a known scene in, known depth, masks and clouds out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.camera import FRAME_ID, INTRINSICS, Camera, half_red, time_of
from helpers.graph import Graph, reserved_domain
from helpers.plane_model import CONFIDENCE
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from dense_perception.geometry.mount import Mount
from dense_perception_msgs.msg import InferenceStatus, SegmentationClasses

MOUNT = Mount.from_pitch_roll(0.3, 0.1, 0.8)
OUTPUTS = {'depth/image_rect': Image, 'depth/relative': Image, 'depth/camera_info': CameraInfo,
           'depth/points': PointCloud2, 'segmentation/mask': Image,
           'segmentation/confidence': Image, 'perception/status': InferenceStatus}
METRIC = OUTPUTS.keys() - {'depth/relative'}


@pytest.fixture(scope='module', params=['model', 'camera'])
def outputs(request: pytest.FixtureRequest, plane_model: Path,
            tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """All outputs of one frame, at network size (80 x 64) or at camera size (320 x 240)."""
    folder = tmp_path_factory.mktemp('graph')
    with reserved_domain() as domain, closing(Graph(domain, folder)) as graph:
        graph.start('perception', model=plane_model, output_size=request.param,
                    mount__height=0.8, mount__pitch=0.3, mount__roll=0.1)
        camera = Camera(graph)
        received = {topic: graph.collect(kind, topic) for topic, kind in OUTPUTS.items()}

        def common() -> set[tuple[int, int]]:
            return set.intersection(*({time_of(m.header) for m in received[t]} for t in METRIC))

        graph.spin_until(common, 'every output of one frame', camera.publish)
        stamp = max(common())
        found = {topic: next(m for m in received[topic] if time_of(m.header) == stamp)
                 for topic in METRIC}
        found['relative'] = received['depth/relative']
        found['sent'] = next(h for h in camera.headers if time_of(h) == stamp)
        found['size'] = (80, 64) if request.param == 'model' else (320, 240)
        found['latched'] = graph.collect(
            SegmentationClasses, 'segmentation/classes',
            QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
        graph.spin_until(lambda: found['latched'], 'the latched classes')
        yield found


def test_headers_are_those_of_the_image(outputs: dict[str, Any]):
    for topic in METRIC:
        assert outputs[topic].header == outputs['sent'], topic


def test_all_outputs_have_one_size(outputs: dict[str, Any]):
    for topic in METRIC - {'perception/status'}:
        assert (outputs[topic].width, outputs[topic].height) == outputs['size'], topic


def test_depth_is_the_ground_in_metres(outputs: dict[str, Any]):
    depth = _plane(outputs['depth/image_rect'], np.float32)
    width, height = outputs['size']
    # The camera size repeats the network's pixels, so truth is taken at the network's.
    truth = _to_network(MOUNT.ground_depth(INTRINSICS.resized(80, 64)), height, width)
    near = np.nan_to_num(truth, nan=np.inf) < 20
    np.testing.assert_allclose(depth[near], truth[near], rtol=1e-4)
    assert near.mean() > 0.5
    assert np.isnan(depth[np.isnan(truth)]).all()
    assert outputs['depth/image_rect'].encoding == '32FC1'
    assert not outputs['relative']


def test_mask_and_confidence(outputs: dict[str, Any]):
    mask = _plane(outputs['segmentation/mask'], np.uint8)
    assert np.array_equal(mask, half_red(*outputs['size'])[:, :, 0] // 255)
    assert outputs['segmentation/mask'].encoding == 'mono8'
    assert (_plane(outputs['segmentation/confidence'], np.uint8) == CONFIDENCE).all()


def test_camera_info_belongs_to_the_outputs(outputs: dict[str, Any]):
    width, height = outputs['size']
    scaled = INTRINSICS.resized(width, height)
    info = outputs['depth/camera_info']
    np.testing.assert_allclose(np.take(info.k, (0, 4, 2, 5)),
                               (scaled.fx, scaled.fy, scaled.cx, scaled.cy))
    np.testing.assert_allclose(np.take(info.p, (0, 5, 2, 6)), np.take(info.k, (0, 4, 2, 5)))


def test_cloud_is_the_depth_image_seen_through_the_camera_info(outputs: dict[str, Any]):
    points = _points(outputs['depth/points'])
    depth = _plane(outputs['depth/image_rect'], np.float32)
    np.testing.assert_array_equal(points['z'], depth)  # a plane has no flying pixels
    seen = np.isfinite(depth)
    k = outputs['depth/camera_info'].k.reshape(3, 3)
    width, height = outputs['size']
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    pixels = k @ np.stack([points[axis][seen] / depth[seen] for axis in 'xyz'])
    np.testing.assert_allclose(pixels[0], u[seen], atol=1e-2)
    np.testing.assert_allclose(pixels[1], v[seen], atol=1e-2)
    np.testing.assert_array_equal(points['label'], _plane(outputs['segmentation/mask'], np.uint8))
    assert (points['confidence'] == CONFIDENCE).all()
    colour = half_red(width, height)[:, :, 0].astype(np.uint32) << 16
    np.testing.assert_array_equal(points['rgb'].copy().view(np.uint32), colour)
    assert not outputs['depth/points'].is_dense
    if outputs['size'] == (80, 64):  # at camera size points keep a network pixel's depth
        near = points[seen & (np.nan_to_num(depth, nan=np.inf) < 20)]
        heights = sum(near[axis] * down for axis, down in zip('xyz', MOUNT.down))
        np.testing.assert_allclose(heights, MOUNT.height, rtol=1e-4)


def test_status_tells_what_was_done(outputs: dict[str, Any]):
    status = outputs['perception/status']
    assert (status.model, status.backend) == ('plane', 'onnxruntime-cpu')
    assert status.metric and status.mount_source == 'parameters'
    assert [s.name for s in status.stages] == ['convert', 'resize', 'inference', 'geometry',
                                               'publish']
    assert all(s.milliseconds > 0 for s in status.stages)
    assert 0 < status.age_ms < status.latency_ms
    waiting = status.frames_in - status.frames_out - status.dropped - status.refused
    assert waiting in (0, 1)


def test_classes_are_latched(outputs: dict[str, Any]):
    classes = outputs['latched'][0]
    assert [(c.id, c.name) for c in classes.classes] == [(0, 'ground'), (1, 'red')]
    assert classes.classes[1].color.r == pytest.approx(220 / 255)
    assert classes.model == 'plane'
    assert classes.header.frame_id in ('', FRAME_ID)


def _plane(message: Image, dtype: type) -> np.ndarray:
    return np.frombuffer(message.data, dtype).reshape(message.height, message.width)


def _points(cloud: PointCloud2) -> np.ndarray:
    formats = {7: '<f4', 2: 'u1'}
    dtype = np.dtype({'names': [f.name for f in cloud.fields],
                      'formats': [formats[f.datatype] for f in cloud.fields],
                      'offsets': [f.offset for f in cloud.fields],
                      'itemsize': cloud.point_step})
    return np.frombuffer(cloud.data, dtype).reshape(cloud.height, cloud.width)


def _to_network(array: np.ndarray, height: int, width: int) -> np.ndarray:
    """Each pixel of (height, width) takes the network pixel that its centre lies in.

    A centre on the border of two may take either: it gets infinity, which no test looks at.
    """
    rows, columns = ((np.arange(n) + 0.5) * m / n for n, m in zip((height, width), array.shape))
    result = array[rows.astype(int)[:, None], columns.astype(int)]
    result[rows % 1 == 0] = np.inf
    return result

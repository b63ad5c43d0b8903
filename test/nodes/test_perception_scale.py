"""The perception node as a process: relative depth becomes metric only while something says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.camera import FRAME_ID, INTRINSICS, Camera
from helpers.code_model import HEIGHT, WIDTH, image_saying, write_code_model
from helpers.graph import Graph
from helpers.messages import imu_message, points_message
from helpers.scene import Scene
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from sensor_msgs.msg import Image, Imu, PointCloud2
from std_msgs.msg import Header

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.mount import Mount
from dense_perception.ros.camera_info import info_from_intrinsics
from dense_perception.ros.stamps import seconds
from dense_perception_msgs.msg import InferenceStatus

CAMERA = Intrinsics(75.0, 76.0, 39.5, 31.5, WIDTH, HEIGHT)
MOUNT = Mount.from_pitch_roll(0.35, 0.0, 0.8)
DEPTH = np.fmin(MOUNT.ground_depth(CAMERA), 20).astype(np.float32)
DEPTH[20:44, 30:50] = np.minimum(DEPTH[20:44, 30:50], 1.4)  # a box
SAYS = {'inverse_affine': (1 / DEPTH - 0.01) / 0.008, 'affine': 3 * DEPTH + 40}


class CodeScene(Scene):
    """The node with a camera whose image is the prediction."""

    def __init__(self, graph: Graph, tmp_path: Path, convention: str, **parameters: Any) -> None:
        super().__init__(graph, model=write_code_model(tmp_path / 'code.onnx', convention),
                         scale__hold=0.0, **parameters)
        self.pixels = image_saying(SAYS[convention])

    def publish(self) -> Header:
        return self.camera.publish(self.pixels, info_from_intrinsics(CAMERA, Header()))

    def until_metric(self, publish: Callable[[], Any], source: str) -> None:
        self.depths.clear()
        self.clouds.clear()
        self.graph.spin_until(lambda: self.depths and self.clouds and self.statuses
                              and self.statuses[-1].metric, 'metric depth', publish)
        depth = np.frombuffer(self.depths[-1].data, np.float32).reshape(HEIGHT, WIDTH)
        np.testing.assert_allclose(depth, DEPTH, rtol=0.03)
        assert self.statuses[-1].mount_source == source
        assert 'scale' in [s.name for s in self.statuses[-1].stages]

    def until_relative(self, publish: Callable[[], Any], reason: str) -> None:
        """Relative depth only, and diagnostics that say why."""
        self.until(lambda: self.statuses and not self.statuses[-1].metric, 'relative depth',
                   publish)
        self.forget()
        self.graph.spin_until(lambda: self.relatives and any(
            reason in s.message for a in self.diagnostics for s in a.status), reason, publish)
        assert not self.depths and not self.clouds
        relative = np.frombuffer(self.relatives[-1].data, np.float32).reshape(HEIGHT, WIDTH)
        np.testing.assert_allclose(relative, self.pixels @ np.array([1, 1 / 256, 0]), rtol=1e-5)

    def values(self) -> dict[str, str]:
        return {v.key: v.value for v in self.diagnostics[-1].status[0].values}

    def set(self, name: str, value: float) -> None:
        client = self.graph.node.create_client(SetParameters, '/perception/set_parameters')
        client.wait_for_service()
        future = client.call_async(SetParameters.Request(parameters=[Parameter(
            name=name, value=ParameterValue(type=ParameterType.PARAMETER_DOUBLE,
                                            double_value=value))]))
        self.graph.spin_until(future.done, 'the answer')
        assert future.result().results[0].successful


def test_the_ground_makes_disparity_metric_while_the_mount_is_known(graph: Graph,
                                                                    tmp_path: Path):
    scene = CodeScene(graph, tmp_path, 'inverse_affine', mount__height=0.8, mount__pitch=0.35)
    scene.until_metric(scene.publish, 'ground:parameters')
    assert not scene.relatives
    scene.set('mount.height', 0.0)
    scene.until_relative(scene.publish, "ground: the camera's mount is unknown (parameter "
                         'mount.height is not set')
    scene.set('mount.height', 0.8)
    scene.until_metric(scene.publish, 'ground:parameters')
    scene.diagnostics.clear()
    scene.graph.spin_until(lambda: scene.diagnostics, 'diagnostics', scene.publish)
    values = scene.values()
    assert (values['depth'], values['scale_source']) == ('metric', 'ground')
    assert float(values['scale']) == pytest.approx(0.008, rel=0.05)
    assert float(values['scale_shift']) == pytest.approx(0.01, abs=0.005)
    assert abs(float(values['scale_drift_percent'])) < 1


def test_points_make_depth_metric_while_they_come_and_agree(graph: Graph, tmp_path: Path):
    scene = CodeScene(graph, tmp_path, 'affine')
    points = graph.node.create_publisher(PointCloud2, 'scale_points', 2)
    v, u = (c.ravel() for c in np.mgrid[2:62:3, 2:78:3])

    def with_points(depth: np.ndarray) -> Callable[[], None]:
        def publish() -> None:
            z = depth[v, u]
            rays = np.stack([(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy,
                             np.ones_like(z)], 1)
            time_s = seconds(graph.node.get_clock().now().to_msg())
            points.publish(points_message(z[:, None] * rays, time_s, FRAME_ID))
            scene.publish()
        return publish

    scene.until_metric(with_points(DEPTH), 'points')
    scene.until_relative(scene.publish, 'points: the points on scale_points are older or newer '
                         'than the image')
    scene.until_metric(with_points(DEPTH), 'points')
    wrong = np.random.default_rng(0).uniform(0.5, 20, DEPTH.shape)
    scene.until_relative(with_points(wrong), 'points: too few samples agree with each other')
    assert 'Traceback' not in scene.process.log


def test_no_source_is_said_and_none_is_silent(graph: Graph, tmp_path: Path):
    scene = CodeScene(graph, tmp_path, 'affine')
    scene.graph.spin_until(lambda: scene.statuses, 'a frame', scene.publish)
    scene.until_relative(scene.publish, 'points: nothing came on the topic scale_points; ground: ')


def test_scale_source_none_publishes_relative_depth_only(graph: Graph, tmp_path: Path):
    scene = CodeScene(graph, tmp_path, 'affine', scale__source='none', mount__height=0.8,
                      mount__pitch=0.35)
    scene.graph.spin_until(lambda: len(scene.relatives) > 3, 'relative depth', scene.publish)
    assert not graph.node.get_publishers_info_by_topic('/depth/image_rect')
    assert 'WARN' not in scene.process.log


def test_imu_is_followed_and_its_silence_makes_depth_relative(graph: Graph, plane_model: Path):
    process = graph.start('perception', model=plane_model, mount__source='imu', mount__height=0.8,
                          mount__imu_axes='body', mount__pitch=0.1)
    camera = Camera(graph)
    imu = graph.node.create_publisher(Imu, 'imu', 10)
    depths = graph.collect(Image, 'depth/image_rect')
    statuses = graph.collect(InferenceStatus, 'perception/status')

    def leaning(pitch: float) -> Callable[[], None]:
        def publish() -> None:
            time_s = seconds(graph.node.get_clock().now().to_msg())
            imu.publish(imu_message(time_s, (0, 0, 0),
                                    orientation=(0, np.sin(pitch / 2), 0, np.cos(pitch / 2))))
            camera.publish()
        return publish

    for pitch in (0.15, 0.25):
        truth = Mount.from_pitch_roll(0.1 + pitch, 0, 0.8).ground_depth(INTRINSICS.resized(80, 64))
        near = np.nan_to_num(truth, nan=np.inf) < 20

        def follows(truth: np.ndarray = truth, near: np.ndarray = near) -> bool:
            return bool(depths) and np.allclose(np.frombuffer(
                depths[-1].data, np.float32).reshape(64, 80)[near], truth[near], rtol=1e-3)

        graph.spin_until(follows, f'the ground at pitch {pitch}', leaning(pitch))
    graph.spin_until(lambda: statuses and statuses[-1].mount_source == 'imu',
                     'a status with the mount of the IMU', leaning(0.25))
    graph.spin_until(lambda: not statuses[-1].metric, 'relative depth', camera.publish)
    assert 'topic imu: it has no sample near the time of the image' in process.log
    graph.spin_until(lambda: statuses[-1].metric, 'metric depth again', leaning(0.2))


@pytest.mark.parametrize(('parameters', 'words'), [
    ({'scale__source': 'luck'}, 'scale.source is "luck", it must be one of auto, ground, points'),
    ({'scale__min_inliers': 0.0}, 'scale.min_inliers'),
    ({'mount__height': float('nan')}, 'mount.height')])
def test_wrong_parameter_ends_the_node(graph: Graph, plane_model: Path,
                                       parameters: dict[str, Any], words: str):
    process = graph.start('perception', model=plane_model, **parameters)
    assert process.wait() == 1
    assert '[FATAL]' in process.log and words in process.log

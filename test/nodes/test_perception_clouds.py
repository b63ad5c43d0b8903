"""Clouds, normals and pictures of a known corridor, as they come out of the node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.camera import Camera, half_red, time_of
from helpers.corridor_model import (
    BOX,
    CAMERA,
    FLOOR,
    HEIGHT,
    MOUNT,
    WALL,
    WIDTH,
    corridor,
    write_corridor_model,
)
from helpers.graph import Graph, reserved_domain
from rcl_interfaces.msg import Parameter
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.parameter import Parameter as RclParameter
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

from dense_perception.inference import card as names
from dense_perception.inference.model_file import ModelFile
from dense_perception.ros.camera_info import info_from_intrinsics
from dense_perception.ros.outputs import message_types

SCENE = corridor()
PIXELS = half_red(2 * WIDTH, 2 * HEIGHT)
INFO = info_from_intrinsics(CAMERA.resized(2 * WIDTH, 2 * HEIGHT), Header())


class Corridor:
    """The node with the corridor's model, and everything it publishes."""

    def __init__(self, graph: Graph, model: Path, **parameters: Any) -> None:
        self.graph = graph
        self.process = graph.start('perception', model=model, **parameters)
        self.camera = Camera(graph)
        card = ModelFile.open(model).card
        self.received = {topic: graph.collect(kind, topic)
                         for topic, kind in message_types(card, may_scale=False).items()
                         if not topic.startswith('~')}
        self._client = graph.node.create_client(
            SetParametersAtomically, '/perception/set_parameters_atomically')

    def publish(self) -> None:
        self.camera.publish(PIXELS, INFO)

    def frame(self, *without: str) -> dict[str, Any]:
        """All outputs of one frame that was published from now on."""
        for messages in self.received.values():
            messages.clear()
        sent = len(self.camera.headers)
        received = {topic: messages for topic, messages in self.received.items()
                    if topic not in without}

        def common() -> set[tuple[int, int]]:
            return set.intersection({time_of(h) for h in self.camera.headers[sent:]},
                                    *({time_of(m.header) for m in messages}
                                      for messages in received.values()))

        self.graph.spin_until(common, f'one frame of {sorted(received)}', self.publish)
        stamp = max(common())
        return {topic: next(m for m in messages if time_of(m.header) == stamp)
                for topic, messages in received.items()}

    def set(self, **values: Any) -> str:
        """Set parameters together (``__`` stands for a dot); the reason if they are refused."""
        self._client.wait_for_service()
        request = SetParametersAtomically.Request(
            parameters=[_parameter(n, v) for n, v in values.items()])
        future = self._client.call_async(request)
        self.graph.spin_until(future.done, 'the answer')
        result = future.result().result
        return '' if result.successful else result.reason


@pytest.fixture(scope='module')
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corridor]:
    folder = tmp_path_factory.mktemp('corridor')
    with reserved_domain() as domain, closing(Graph(domain, folder)) as graph:
        yield Corridor(graph, write_corridor_model(folder / 'corridor.onnx'))


@pytest.fixture(scope='module')
def outputs(node: Corridor) -> dict[str, Any]:
    """Every output of one frame, with the default parameters."""
    return node.frame('depth/relative')


def test_every_output_has_the_header_and_size_of_the_others(outputs: dict[str, Any]):
    headers = {topic: message.header for topic, message in outputs.items()}
    assert all(header == headers['depth/image_rect'] for header in headers.values())
    for topic, message in outputs.items():
        if isinstance(message, Image | CameraInfo):
            assert (message.width, message.height) == (WIDTH, HEIGHT), topic
    assert {topic: m.encoding for topic, m in outputs.items() if isinstance(m, Image)} == {
        'depth/image_rect': '32FC1', 'depth/image_raw': '16UC1', 'depth/coloured': 'rgb8',
        'segmentation/mask': 'mono8', 'segmentation/confidence': 'mono8',
        'segmentation/overlay': 'rgb8', 'normals/image': '32FC3', 'normals/coloured': 'rgb8',
        'segmentation/alpha': 'mono8'}


def test_ground_and_obstacles_are_plain_lists_of_what_they_say(outputs: dict[str, Any]):
    whole = points_of(outputs['depth/points'])
    for topic, expected in (('depth/ground', {FLOOR}), ('depth/obstacles', {WALL, BOX})):
        message = outputs[topic]
        points = points_of(message)[0]
        assert message.height == 1 and message.width == len(points) > 300
        assert message.fields == outputs['depth/points'].fields
        assert set(np.unique(points['label'])) == expected
        assert np.isfinite(points['x']).all()
        assert np.isin(points['x'], whole['x']).all()
        height = MOUNT.height - sum(points[a] * d for a, d in zip('xyz', MOUNT.down))
        if topic == 'depth/ground':
            assert np.abs(height).max() < 0.12
        else:
            assert height.min() > 0.08 and height.max() < 2.05


def test_the_matte_is_sent_as_bytes(outputs: dict[str, Any]):
    image = np.frombuffer(outputs['segmentation/alpha'].data, np.uint8).reshape(HEIGHT, WIDTH)
    np.testing.assert_array_equal(image, 255 * (SCENE.labels == BOX).astype(np.uint8))


def test_normals_are_those_of_the_cloud_itself(outputs: dict[str, Any]):
    """Cross products of neighbouring points: a mirrored or permuted axis would show."""
    image = np.frombuffer(outputs['normals/image'].data, np.float32).reshape(HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(image, SCENE.normals)
    points = points_of(outputs['depth/points'])
    xyz = np.stack([points[axis] for axis in 'xyz'], -1).astype(np.float64)
    across, along = xyz[:-1, 1:] - xyz[:-1, :-1], xyz[1:, :-1] - xyz[:-1, :-1]
    normals = np.cross(along, across)  # y x x = -z: towards the camera
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    labels = SCENE.labels
    flat = (SCENE.normals[:-1, :-1] == SCENE.normals[1:, 1:]).all(-1)
    flat &= (labels[:-1, :-1] == labels[1:, 1:]) & (labels[:-1, :-1] == labels[1:, :-1])
    flat &= (labels[:-1, :-1] == labels[:-1, 1:]) & np.isfinite(normals).all(-1)
    assert flat.mean() > 0.8
    published = np.stack([points[f'normal_{axis}'] for axis in 'xyz'], -1)[:-1, :-1]
    agreement = (normals * published).sum(-1)[flat]
    assert np.percentile(agreement, 2) > 0.999
    floor = published[labels[:-1, :-1] == FLOOR]
    np.testing.assert_allclose(floor, np.tile(-np.array(MOUNT.down), (len(floor), 1)), atol=1e-6)
    assert (floor[:, 1] < -0.9).all()  # up


def test_millimetres_and_their_compressed_form(outputs: dict[str, Any]):
    raw = np.frombuffer(outputs['depth/image_raw'].data, np.uint16).reshape(HEIGHT, WIDTH)
    np.testing.assert_allclose(raw, SCENE.depth * 1e3, atol=0.51)
    message = outputs['depth/image_raw/compressedDepth']
    assert message.format == '16UC1; compressedDepth png'
    np.testing.assert_array_equal(
        cv2.imdecode(np.frombuffer(message.data, np.uint8)[12:], cv2.IMREAD_UNCHANGED), raw)


def test_parameters_of_the_clouds_change_at_once(node: Corridor, outputs: dict[str, Any]):
    assert node.set(cloud__stride=2, cloud__min_range=1.0, cloud__max_range=4.0,
                    cloud__min_confidence=0.2, flying_pixels='keep') == ''
    clouds = ('depth/points', 'depth/obstacles', 'depth/ground')
    try:
        frame = node.frame('depth/relative')
        points = points_of(frame['depth/points'])
        assert points.shape == (HEIGHT // 2, WIDTH // 2)
        thin = np.s_[::2, ::2]
        kept = (SCENE.depth >= 1) & (SCENE.depth <= 4) & (SCENE.confidence >= 51)
        np.testing.assert_array_equal(np.isfinite(points['z']), kept[thin])
        np.testing.assert_array_equal(points['label'], SCENE.labels[thin])
        k = frame['depth/camera_info'].k
        columns = np.broadcast_to(np.arange(WIDTH // 2), points.shape)[kept[thin]]
        seen = points[kept[thin]]  # K of the cloud is K of the images with f and c halved
        np.testing.assert_allclose(k[0] / 2 * seen['x'] / seen['z'] + k[2] / 2, columns,
                                   atol=1e-3)
        for topic in clouds:
            assert np.nanmin(points_of(frame[topic])['z']) >= 1.0, topic
        # The images stay whole.
        assert frame['depth/image_rect'].data == outputs['depth/image_rect'].data
        # Nothing in range: empty clouds, so that no consumer goes on with the last ones.
        assert node.set(cloud__min_range=50.0, cloud__max_range=0.0) == ''
        frame = node.frame('depth/relative')
        assert [frame[t].width for t in clouds] == [WIDTH // 2, 0, 0]
        assert not np.isfinite(points_of(frame['depth/points'])['z']).any()
    finally:
        assert node.set(cloud__stride=1, cloud__min_range=0.0, cloud__max_range=0.0,
                        cloud__min_confidence=0.0, flying_pixels='remove_from_clouds') == ''


@pytest.mark.parametrize(('values', 'reason'), [
    ({'cloud__min_range': 5.0, 'cloud__max_range': 2.0}, 'no depth is within'),
    ({'obstacles__max_height': 0.05}, 'nothing is in between'),
    ({'cloud__stride': 0}, ''), ({'cloud__stride': 65}, ''),
    ({'cloud__min_confidence': 1.5}, ''), ({'flying_pixels': 'some'}, 'keep, remove'),
    ({'obstacles__ground_classes': 3}, '')])
def test_impossible_values_are_refused_with_a_reason(node: Corridor, values: dict, reason: str):
    said = node.set(**values)
    assert said and reason in said


def test_a_model_without_classes_and_confidence(graph: Graph, tmp_path: Path):
    """No classes: height alone decides. No confidence: the threshold is refused."""
    model = write_corridor_model(tmp_path / 'depth.onnx', outputs=(names.OUTPUT_DEPTH,))
    node = Corridor(graph, model)
    assert 'no confidence' in node.set(cloud__min_confidence=0.5)
    frame = node.frame()
    points = points_of(frame['depth/ground'])
    assert points.dtype.names == ('x', 'y', 'z', 'rgb')
    floor = np.count_nonzero(SCENE.labels == FLOOR)
    assert 0.95 * floor < points.size < 1.1 * floor


def test_contradictions_at_the_start_end_the_node(graph: Graph, tmp_path: Path):
    model = write_corridor_model(tmp_path / 'depth.onnx', outputs=(names.OUTPUT_DEPTH,))
    ranges = graph.start('perception', model=model, cloud__min_range=3.0, cloud__max_range=2.0)
    sure = graph.start('perception', model=model, cloud__min_confidence=0.5)
    assert ranges.wait() == 1 and 'max_range must be larger' in ranges.log
    assert sure.wait() == 1 and 'model corridor has no confidence' in sure.log


def test_no_ground_in_view_is_said_and_nothing_is_guessed(graph: Graph, tmp_path: Path):
    scene = corridor()
    scene.depth[:] = 2.0
    model = write_corridor_model(tmp_path / 'wall.onnx', (names.OUTPUT_DEPTH,), scene)
    node = Corridor(graph, model)
    node.frame('depth/obstacles', 'depth/ground')
    assert not node.received['depth/obstacles'] and not node.received['depth/ground']
    graph.spin_until(lambda: 'no plane in view can be the ground' in node.process.log,
                     'the warning', node.publish)


def points_of(cloud: PointCloud2) -> np.ndarray:
    formats = {7: '<f4', 2: 'u1'}
    dtype = np.dtype({'names': [f.name for f in cloud.fields],
                      'formats': [formats[f.datatype] for f in cloud.fields],
                      'offsets': [f.offset for f in cloud.fields],
                      'itemsize': cloud.point_step})
    assert len(cloud.data) == cloud.row_step * cloud.height
    return np.frombuffer(cloud.data, dtype).reshape(cloud.height, cloud.width)


def _parameter(name: str, value: Any) -> Parameter:
    return RclParameter(name.replace('__', '.'), value=value).to_parameter_msg()

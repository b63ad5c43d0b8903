"""The perception node as a process: load, demand, quality of service, mounts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from helpers.camera import INTRINSICS, Camera, time_of
from helpers.graph import Graph
from helpers.plane_model import write_plane_model
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from dense_perception.geometry.mount import Mount
from dense_perception.nodes import perception_node
from dense_perception.ros import stream
from dense_perception.ros.camera_info import info_from_intrinsics
from dense_perception.ros.mount import message_from_mount
from dense_perception.ros.qos import LATCHED
from dense_perception_msgs.msg import CameraMount, InferenceStatus


def values(diagnostics: list[DiagnosticArray]) -> dict[str, str]:
    return {v.key: v.value for v in diagnostics[-1].status[0].values}


def test_newest_first_under_overload(graph: Graph, tmp_path: Path):
    """Of a burst, only what was being worked on and the newest image come out."""
    graph.start('perception', model=write_plane_model(tmp_path / 'slow.onnx', 2048, 2560),
                threads=1)
    camera = Camera(graph)
    statuses = graph.collect(InferenceStatus, 'perception/status', 100)
    graph.spin_until(lambda: statuses, 'the first frame', camera.publish)
    for burst in range(3):
        # Small images, so that the burst passes the transport while one frame is worked on.
        for _ in range(30):
            last = camera.publish(np.zeros((24, 32, 3), np.uint8), with_info=False)
            graph.spin(0.002)
        graph.spin_until(lambda last=last: statuses[-1].header == last,
                         f'the newest image of burst {burst}')
    final = statuses[-1]
    assert final.dropped > 0
    assert final.frames_in == final.frames_out + final.dropped
    stamps = [time_of(s.header) for s in statuses]
    assert stamps == sorted(set(stamps))
    # What was dropped is counted between two frames, never twice and never less than once.
    assert [s.frames_out for s in statuses] == list(range(1, len(statuses) + 1))
    assert all(a.dropped <= b.dropped for a, b in zip(statuses, statuses[1:]))


def test_a_start_looks_for_subscribers_and_cameras_often_until_the_first_image(
        graph: Graph, plane_model: Path, monkeypatch):
    paces = []

    class Observed(stream.Stream):
        def _set_pace(self) -> None:
            super()._set_pace()
            paces.append(self._timer.timer_period_ns / 1e9)

    monkeypatch.setattr(perception_node, 'Stream', Observed)
    monkeypatch.setattr(stream, '_EAGER_FOR_S', 0.2)
    perception = graph.host(perception_node.PerceptionNode, model=plane_model)
    graph.spin_until(lambda: paces[-1] == 0.5, 'the usual pace without an image')
    assert paces[0] == 0.05

    monkeypatch.setattr(stream, '_EAGER_FOR_S', 1000.0)
    paces.clear()
    perception.deactivate()
    perception.activate()
    masks = graph.collect(Image, 'segmentation/mask')
    graph.spin_until(lambda: masks, 'a mask', Camera(graph).publish)
    graph.spin_until(lambda: paces[-1] == 0.5, 'the usual pace')
    assert 0.05 in paces


def test_no_subscriber_no_inference(graph: Graph, plane_model: Path):
    process = graph.start('perception', model=plane_model, mount__height=0.8)
    camera = Camera(graph)
    diagnostics = graph.collect(DiagnosticArray, '/diagnostics')
    graph.spin_until(lambda: len(diagnostics) > 2, 'diagnostics', camera.publish)
    assert values(diagnostics)['frames_in'] == '0'
    assert 'idle' in diagnostics[-1].status[0].message
    assert graph.node.count_subscribers('image') == 0
    subscription = graph.node.create_subscription(Image, 'segmentation/mask', lambda _: None, 1)
    graph.spin_until(lambda: values(diagnostics)['frames_out'] not in ('0', '1'), 'frames',
                     camera.publish)
    assert 'running' in diagnostics[-1].status[0].message
    assert float(values(diagnostics)['overhead_ms_p50']) > 0
    graph.node.destroy_subscription(subscription)
    graph.spin_until(lambda: graph.node.count_subscribers('image') == 0, 'the end of demand',
                     camera.publish)
    assert process.exit_code is None


@pytest.mark.parametrize('reliability', list(ReliabilityPolicy)[1:3], ids=lambda r: r.name)
def test_input_follows_the_publisher(graph: Graph, plane_model: Path,
                                     reliability: ReliabilityPolicy):
    graph.start('perception', model=plane_model)
    camera = Camera(graph, reliability=reliability)
    masks = graph.collect(Image, 'segmentation/mask')

    def asked() -> list[ReliabilityPolicy]:
        return [i.qos_profile.reliability
                for i in graph.node.get_subscriptions_info_by_topic('/image')]

    graph.spin_until(lambda: masks and asked() == [reliability], f'a {reliability.name} reader',
                     camera.publish)
    # Another camera that offers less: nobody may go unheard.
    other = Camera(graph, reliability=ReliabilityPolicy.BEST_EFFORT)
    masks.clear()
    graph.spin_until(lambda: masks and asked() == [ReliabilityPolicy.BEST_EFFORT],
                     'a best-effort reader', other.publish)


def test_reliability_can_be_overridden(graph: Graph, plane_model: Path):
    graph.start('perception', '-p', 'qos_overrides./image.subscription.reliability:=best_effort',
                '-p', 'qos_overrides./segmentation/mask.publisher.reliability:=best_effort',
                model=plane_model)
    camera = Camera(graph)
    masks = graph.collect(Image, 'segmentation/mask', QoSProfile(
        depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    graph.spin_until(lambda: len(masks) > 15, 'masks', camera.publish)
    kinds = [i.qos_profile.reliability for i in (
        *graph.node.get_subscriptions_info_by_topic('/image'),
        *graph.node.get_publishers_info_by_topic('/segmentation/mask'))]
    assert kinds == [ReliabilityPolicy.BEST_EFFORT] * 2


@pytest.mark.parametrize('namespace', ['/', '/robot/front'])
def test_shipped_parameter_file_fits(graph: Graph, plane_model: Path, tmp_path: Path,
                                     namespace: str):
    """Its wildcard finds the node in every namespace; one changed value takes effect."""
    text = (Path(__file__).parents[2] / 'config' / 'perception.yaml').read_text()
    assert 'model: xnet_small' in text
    parameters = tmp_path / 'perception.yaml'
    parameters.write_text(text.replace('model: xnet_small', f'model: {plane_model}'))
    process = graph.start('perception', '--params-file', str(parameters), '-r',
                          f'__ns:={namespace}')
    graph.spin_until(lambda: 'model plane on' in process.log, 'the model of the file')


def test_wrong_override_ends_the_node(graph: Graph, plane_model: Path):
    process = graph.start('perception', '-p',
                          'qos_overrides./image.subscription.reliability:=sometimes',
                          model=plane_model)
    assert process.wait() == 1
    assert 'it must be one of adapt, reliable, best_effort' in process.log


def test_large_images_arrive_best_effort(graph: Graph, plane_model: Path):
    """The shipped profile carries what the default shared-memory segment would lose."""
    graph.start('perception', model=plane_model)
    camera = Camera(graph, reliability=ReliabilityPolicy.BEST_EFFORT)
    statuses = graph.collect(InferenceStatus, 'perception/status', 100)
    large = np.zeros((1080, 1920, 3), np.uint8)
    graph.spin_until(lambda: statuses, 'the first frame', lambda: camera.publish(large))
    before = len(camera.headers)
    graph.spin_until(lambda: len(camera.headers) >= before + 20, 'twenty images',
                     lambda: camera.publish(large), period=0.2)
    graph.spin_until(lambda: statuses[-1].header == camera.headers[-1], 'the last image')
    assert statuses[-1].frames_in > 15


def test_mount_from_topic_and_from_changing_parameters(graph: Graph, plane_model: Path):
    graph.start('perception', model=plane_model)
    camera = Camera(graph)
    relatives = graph.collect(Image, 'depth/relative')
    depths = graph.collect(Image, 'depth/image_rect')
    statuses = graph.collect(InferenceStatus, 'perception/status', 100)
    graph.spin_until(lambda: relatives, 'relative depth', camera.publish)
    assert not depths

    mounts = graph.node.create_publisher(CameraMount, 'camera_mount', LATCHED)
    for height in (0.5, 0.9):
        mount = Mount.from_pitch_roll(0.3, 0.1, height)
        mounts.publish(message_from_mount(mount, Header()))
        assert_ground(graph, camera, depths, mount)
    graph.spin_until(lambda: statuses and statuses[-1].mount_source == 'topic', 'the status',
                     camera.publish)

    # Parameters go before the topic, and take effect at once.
    client = graph.node.create_client(SetParameters, '/perception/set_parameters')
    client.wait_for_service()
    request = SetParameters.Request(parameters=[
        double('mount.height', 1.4), double('mount.pitch', 0.2)])
    future = client.call_async(request)
    graph.spin_until(future.done, 'the answer')
    assert all(r.successful for r in future.result().results)
    assert_ground(graph, camera, depths, Mount.from_pitch_roll(0.2, 0.0, 1.4))
    graph.spin_until(lambda: statuses[-1].mount_source == 'parameters', 'the status')

    future = client.call_async(SetParameters.Request(parameters=[double('mount.height', -3.0)]))
    graph.spin_until(future.done, 'the answer')
    assert not future.result().results[0].successful and future.result().results[0].reason


def test_compressed_input(graph: Graph, plane_model: Path):
    import cv2
    graph.start('perception', model=plane_model, input_transport='compressed',
                mount__height=0.8, mount__pitch=0.3)
    camera = Camera(graph)
    publisher = graph.node.create_publisher(CompressedImage, 'image/compressed', 2)
    depths = graph.collect(Image, 'depth/image_rect')
    statuses = graph.collect(InferenceStatus, 'perception/status')
    data = cv2.imencode('.jpg', np.zeros((240, 320, 3), np.uint8))[1].tobytes()

    def publish(data: bytes) -> None:
        header = camera.header()
        camera.infos.publish(info_from_intrinsics(INTRINSICS, header))
        publisher.publish(CompressedImage(header=header, format='jpeg', data=data))

    graph.spin_until(lambda: depths, 'depth', lambda: publish(data))
    graph.spin_until(lambda: statuses and statuses[-1].refused, 'a refusal',
                     lambda: (publish(b'no jpeg'), publish(data)))


def assert_ground(graph: Graph, camera: Camera, depths: list[Image], mount: Mount) -> None:
    truth = mount.ground_depth(INTRINSICS.resized(80, 64))
    near = np.nan_to_num(truth, nan=np.inf) < 20

    def arrived() -> bool:
        return bool(depths) and np.allclose(
            np.frombuffer(depths[-1].data, np.float32).reshape(64, 80)[near], truth[near],
            rtol=1e-4)

    graph.spin_until(arrived, f'the ground seen from {mount}', camera.publish)


def double(name: str, value: float) -> Any:
    return Parameter(name=name, value=ParameterValue(type=ParameterType.PARAMETER_DOUBLE,
                                                     double_value=value))

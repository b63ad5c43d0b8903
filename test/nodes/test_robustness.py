"""What a robot does to a node: clocks that jump, cameras that come and go, names given twice."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from helpers.camera import FRAME_ID, INTRINSICS, Camera, half_red
from helpers.graph import Graph
from helpers.plane_model import write_plane_model
from helpers.scene import MOUNTED, Scene
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from dense_perception.ros.camera_info import info_from_intrinsics
from dense_perception.ros.images import image_from_array

WARN = DiagnosticStatus.WARN


@pytest.fixture
def scene(graph: Graph, plane_model: Path) -> Scene:
    return Scene(graph, model=plane_model, **MOUNTED)


def publish_at(camera: Camera, stamp: Time) -> None:
    header = Header(stamp=stamp, frame_id=FRAME_ID)
    camera.infos.publish(info_from_intrinsics(INTRINSICS, header))
    camera.images.publish(image_from_array(half_red(), 'rgb8', header))


class Simulation:
    """A clock on /clock and a camera that stamps by it."""

    def __init__(self, scene: Scene) -> None:
        self.clock = scene.graph.node.create_publisher(Clock, '/clock', 10)
        self.camera = scene.camera
        self.now_ms = 0

    def step(self) -> None:
        self.now_ms += 50
        stamp = Time(sec=self.now_ms // 1000, nanosec=self.now_ms % 1000 * 1_000_000)
        self.clock.publish(Clock(clock=stamp))
        publish_at(self.camera, stamp)


def test_a_simulation_that_is_reset(graph: Graph, plane_model: Path):
    scene = Scene(graph, model=plane_model, use_sim_time=True, **MOUNTED)
    scene.said('use_sim_time is true, but no time comes on /clock', WARN, lambda: None)
    simulation = Simulation(scene)
    simulation.now_ms = 100_000
    scene.until(lambda: len(scene.depths) > 3, 'depth', simulation.step)
    simulation.now_ms = 0
    scene.forget()
    scene.said('the stamps ran backwards', WARN, simulation.step)
    scene.until(lambda: any(d.header.stamp.sec < 50 for d in scene.depths), 'depth',
                simulation.step)
    # Other topics may bring an image earlier than /clock brings its time.
    assert all(not s.age_ms < 0 and not s.latency_ms < 0 for s in scene.statuses)
    assert any(math.isfinite(s.age_ms) and s.age_ms < 1000 for s in scene.statuses)
    scene.forget()
    scene.until(lambda: len(scene.diagnostics) > 2, 'diagnostics', simulation.step)
    assert scene.diagnostics[-1].status[0].level == DiagnosticStatus.OK


@pytest.mark.parametrize(('stamp', 'words'), [
    (Time(), 'images have no time (stamp 0)'),
    (Time(sec=1_000_000, nanosec=5), 'images have the same stamp'),
    (Time(sec=2 ** 31 - 1), 'images are stamped in the future'),
], ids=['zero', 'equal', 'future'])
def test_bad_stamps_are_said_and_survived(scene: Scene, stamp: Time, words: str):
    if words.endswith('future'):
        def publish() -> None:
            stamp.nanosec += 1
            publish_at(scene.camera, stamp)
    else:
        def publish() -> None:
            publish_at(scene.camera, stamp)
    scene.said(words, WARN, publish)
    scene.until(lambda: scene.depths and scene.statuses, 'depth', publish)
    if words != 'images have the same stamp':
        assert all(math.isnan(s.age_ms) and math.isnan(s.latency_ms) for s in scene.statuses)
    scene.until_works()


def test_a_camera_that_is_unplugged_and_comes_back_as_another(scene: Scene):
    scene.until_works()
    scene.camera.unplug()
    scene.said('no image comes on /image (0 publishers)', WARN, lambda: None)
    scene.camera = Camera(scene.graph, reliability=ReliabilityPolicy.BEST_EFFORT)
    scene.until_works()
    scene.forget()
    scene.until(lambda: len(scene.diagnostics) > 1, 'diagnostics', scene.camera.publish)
    assert scene.diagnostics[-1].status[0].message == 'running'


def test_frames_that_are_inferred_at_the_same_time_keep_their_order_and_their_pixels(
        graph: Graph, tmp_path: Path):
    model = write_plane_model(tmp_path / 'large.onnx', 480, 640)  # inferences of milliseconds
    scene = Scene(graph, model=model, threads=3, inferences=3, **MOUNTED)
    colours: dict[tuple[int, int], int] = {}

    def publish() -> None:
        for _ in range(3):
            red = len(colours) % 2
            stamp = scene.camera.publish(np.full((480, 640, 3), 255 * red, np.uint8)).stamp
            colours[stamp.sec, stamp.nanosec] = red

    scene.until(lambda: len(scene.masks) > 100 and scene.diagnostics, 'masks', publish)
    values = {v.key: v.value for v in scene.diagnostics[-1].status[0].values}
    assert values['inferences'] == '3'
    stamps = [(m.header.stamp.sec, m.header.stamp.nanosec) for m in scene.masks]
    assert stamps == sorted(set(stamps))
    masks = [np.frombuffer(m.data, np.uint8) for m in scene.masks]
    assert all((mask == colours[at]).all() for at, mask in zip(stamps, masks, strict=True))
    assert {colours[at] for at in stamps} == {0, 1}


def test_two_nodes_of_one_name(scene: Scene, plane_model: Path):
    scene.graph.start('perception', model=plane_model)
    scene.until(lambda: any('2 nodes are called /perception' in s.message and s.level == WARN
                            for a in scene.diagnostics for s in a.status), 'the warning')
    assert scene.process.exit_code is None


def test_misspelt_parameters_are_named_with_the_nearest(graph: Graph, plane_model: Path):
    process = graph.start(
        'perception', '-p', 'cloud.max_rnage:=5.0', '-p',
        'qos_overrides./imgae.subscription.reliability:=reliable', '-p',
        'qos_overrides./depth/points.publisher.depth:=4', model=plane_model)
    graph.spin_until(lambda: 'images from' in process.log, 'the start')
    assert ('parameter cloud.max_rnage is unknown and does nothing; did you mean '
            'cloud.max_range?') in process.log
    assert ('did you mean qos_overrides./image.subscription.reliability?') in process.log
    assert process.log.count('does nothing') == 2


def test_a_publisher_that_offers_less_than_was_asked_for_by_parameter(graph: Graph,
                                                                      plane_model: Path):
    scene = Scene(graph, '-p', 'qos_overrides./image.subscription.reliability:=reliable',
                  model=plane_model, **MOUNTED)
    scene.camera.unplug()
    scene.camera = Camera(graph, reliability=ReliabilityPolicy.BEST_EFFORT)
    scene.said('/image is not heard from /test: asked for is RELIABLE, by parameter', WARN,
               scene.camera.publish)


def test_a_subscriber_that_asks_for_more_than_is_offered(scene: Scene):
    scene.until_works()
    subscription = scene.graph.node.create_subscription(
        Image, 'depth/image_rect', lambda _: None,
        QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    scene.said('/depth/image_rect is not heard by /test', WARN, scene.camera.publish)
    scene.graph.node.destroy_subscription(subscription)
    scene.forget()
    scene.until(lambda: len(scene.diagnostics) > 2, 'diagnostics', scene.camera.publish)
    assert scene.diagnostics[-1].status[0].message == 'running'

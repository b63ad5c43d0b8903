"""The doctor on a real graph: a healthy one, a sick one, an empty one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from helpers.camera import Camera
from helpers.graph import Graph
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from dense_perception.cli.doctoring import watcher as watching
from dense_perception.cli.doctoring.camera_checks import CameraTopics, check_image
from dense_perception.cli.doctoring.findings import Level
from dense_perception.cli.doctoring.watcher import Heard, Perception, Watcher
from dense_perception.ros import dds
from dense_perception_msgs.msg import InferenceStatus

Found = dict[str, list[tuple[str, str, str]]]


def doctor(graph: Graph, *arguments: object, meanwhile: Any = None) -> tuple[int, Found]:
    """Exit code and findings by check: (level, sentence, advice)."""
    process = subprocess.Popen(
        [sys.executable, '-m', 'dense_perception.cli.main', 'doctor', '--json', '--seconds', '1.5',
         *map(str, arguments)], stdout=subprocess.PIPE, text=True,
        env=os.environ | {'ROS_DOMAIN_ID': str(graph.domain)})
    graph.spin_until(lambda: process.poll() is not None, 'the doctor', meanwhile, period=0.1)
    out, _ = process.communicate()
    found: Found = defaultdict(list)
    for finding in json.loads(out)['findings']:
        found[finding['check']].append((finding['level'], finding['sentence'], finding['advice']))
    return process.returncode, found


def levels(found: Found) -> dict[str, set[str]]:
    return {check: {level for level, *_ in findings} for check, findings in found.items()}


def test_a_healthy_graph(graph: Graph, plane_model: Path) -> None:
    graph.start('perception', '-r', '__ns:=/robot', '-r', 'image:=/eye', '-r',
                'camera_info:=/camera_info', model=plane_model, mount__height=0.5,
                mount__pitch=0.4)
    camera = Camera(graph, '/eye')
    graph.spin_until(lambda: graph.node.count_publishers('/robot/perception/status'), 'the node')
    code, found = doctor(graph, '--namespace', 'robot', meanwhile=camera.publish)
    assert code == 0, found
    found.pop('shared memory')  # a container's may be small
    assert levels(found) == dict.fromkeys((
        'DDS', 'network', 'nodes', 'output', 'diagnostics', 'QoS', 'clock',
        'image', 'stamps', 'camera_info', 'mount', 'model', 'backend'), {'OK'})
    assert '/eye: 320x240 rgb8 at' in found['image'][0][1]
    assert 'metric depth, plane on' in found['output'][0][1]
    assert 'mount from parameters' in found['mount'][0][1]
    assert 'plane: metres, labels' in found['model'][0][1]
    assert 'onnxruntime-cpu' in found['backend'][0][1]


def test_a_sick_graph(graph: Graph, plane_model: Path) -> None:
    """Two nodes of one name in a time that stands still, and a camera without calibration."""
    for _ in range(2):
        graph.start('perception', model=plane_model, use_sim_time=True)
    graph.collect(Image, 'segmentation/mask', QoSProfile(
        depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    camera = Camera(graph)

    def publish() -> None:
        camera.publish(info=CameraInfo(width=320, height=240))

    graph.spin_until(lambda: graph.node.count_publishers('/perception/status') == 2, 'the nodes')
    code, found = doctor(graph, meanwhile=publish)
    assert code == 1
    assert levels(found)['nodes'] == levels(found)['clock'] == levels(found)['QoS'] == {'FAIL'}
    assert '2 nodes are called /perception' in found['nodes'][0][1]
    assert 'use_sim_time' in found['clock'][0][1] and '/clock' in found['clock'][0][1]
    assert '/segmentation/mask: /test gets nothing from /perception' in found['QoS'][0][1]
    assert found['camera_info'][0][0] == 'FAIL'
    assert 'K of zeros' in found['camera_info'][0][1]
    assert found['mount'][0][0] == 'WARN' and 'relative' in found['mount'][0][1]
    assert 'WARN' in levels(found)['diagnostics']


def test_a_graph_without_the_node(graph: Graph, tmp_path: Path) -> None:
    """A camera under another name, and a model that is no model."""
    camera = Camera(graph, '/eye')
    (tmp_path / 'model.onnx').write_bytes(b'nothing')
    settings = tmp_path / 'p.yaml'
    settings.write_text('/**/perception:\n  ros__parameters:\n    mount.heigth: 1.0\n')
    code, found = doctor(graph, '--model', tmp_path / 'model.onnx', '--params-file', settings,
                         meanwhile=lambda: camera.publish(with_info=False))
    assert code == 1
    assert found['perception'][0][0] == found['mount'][0][0] == 'WARN'
    assert found['image'] == [('FAIL', 'nobody publishes /image', 'remap "image" to /eye')]
    assert found['model'][0][0] == 'FAIL'
    assert found['parameters'][0][2] == 'did you mean "mount.height"?'


def test_an_image_of_another_type(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS_DOMAIN_ID', str(graph.domain))
    graph.node.create_publisher(CompressedImage, '/image', 1)
    with Watcher('') as watcher:
        camera = CameraTopics(Heard('/image'), Image, Heard('/info'), Heard('/m'), False, {})
        found = check_image(watcher, camera)
    assert [f.level for f in found] == [Level.FAIL]
    assert 'CompressedImage, not sensor_msgs/msg/Image' in found[0].sentence


@pytest.mark.parametrize('unknown', [1, 99])
def test_a_node_whose_topics_are_known_before_its_name(
        graph: Graph, monkeypatch: pytest.MonkeyPatch, unknown: int) -> None:
    monkeypatch.setenv('ROS_DOMAIN_ID', str(graph.domain))
    monkeypatch.setattr(watching, '_NAMES_S', 0.4)
    graph.node.create_publisher(InferenceStatus, '/perception/status', 1)
    with Watcher('') as watcher:
        asked, really = [], watcher.node.get_publishers_info_by_topic

        def not_yet(topic: str) -> list[Any]:
            asked.append(topic)
            found = really(topic)
            if topic == '/perception/status' and asked.count(topic) <= unknown:
                for info in found:
                    info.node_namespace, info.node_name = (
                        '_NODE_NAMESPACE_UNKNOWN_', '_NODE_NAME_UNKNOWN_')
            return found

        monkeypatch.setattr(watcher.node, 'get_publishers_info_by_topic', not_yet)
        nodes = watcher.perception_nodes()
        assert [node.path for node in nodes] == (['/test'] if unknown == 1 else [])
        for node in nodes:
            watcher.look_into(node)


def test_a_node_that_has_ended_is_not_looked_into(graph: Graph,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS_DOMAIN_ID', str(graph.domain))
    with Watcher('') as watcher:
        gone = Perception('gone', '/', Heard('/gone/status'))
        watcher.look_into(gone)
    assert not gone.images and not gone.parameters


def test_without_ros_the_model_is_still_looked_at(capsys: pytest.CaptureFixture[str],
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    from dense_perception.cli import main
    monkeypatch.setitem(sys.modules, 'rclpy', None)
    assert main.main(['doctor']) == 1
    out = capsys.readouterr().out
    assert 'FAIL  ROS' in out and 'the graph cannot be looked at' in out
    assert 'OK    model' in out and str(dds.PROFILE) not in out

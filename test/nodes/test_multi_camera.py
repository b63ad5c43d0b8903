"""Several cameras in one process: each on its own topics, all with one engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from helpers.camera import Camera, time_of
from helpers.graph import Graph, NodeProcess
from helpers.plane_model import write_plane_model
from helpers.services import call
from rcl_interfaces.srv import GetParameters
from sensor_msgs.msg import Image

from dense_perception_msgs.msg import InferenceStatus
from dense_perception_msgs.srv import LoadModel

CAMERAS = ('front', 'rear')


def start(graph: Graph, *arguments: str, **parameters: Any) -> NodeProcess:
    return graph.start('multi_camera', '-p', f'cameras:=[{", ".join(CAMERAS)}]', *arguments,
                       **parameters)


def cameras(graph: Graph, base: str = '') -> list[Camera]:
    return [Camera(graph, f'{base}/{name}/image', info_topic=f'{base}/{name}/camera_info')
            for name in CAMERAS]


def test_each_camera_has_topics_mount_and_diagnostics_of_its_own(graph: Graph, tmp_path: Path,
                                                                 plane_model: Path):
    file = tmp_path / 'cameras.yaml'
    file.write_text('/robot/front/perception:\n  ros__parameters:\n    mount.height: 0.8\n'
                    '    mount.pitch: 0.3\n')
    process = start(graph, '--params-file', str(file), '-r', '__ns:=/robot', model=plane_model)
    front, rear = cameras(graph, '/robot')
    depths = graph.collect(Image, '/robot/front/depth/image_rect')
    relatives = graph.collect(Image, '/robot/rear/depth/relative')
    rear_metric = graph.collect(Image, '/robot/rear/depth/image_rect')
    diagnostics = graph.collect(DiagnosticArray, '/diagnostics')

    def publish() -> None:
        front.publish()
        rear.publish()

    graph.spin_until(lambda: depths and relatives, 'depth of both', publish)
    assert not rear_metric
    assert {(h.stamp.sec, h.stamp.nanosec) for h in front.headers} >= {
        (d.header.stamp.sec, d.header.stamp.nanosec) for d in depths}
    names = {'robot/front/perception: state', 'robot/rear/perception: state'}
    graph.spin_until(lambda: {s.name for a in diagnostics for s in a.status} == names,
                     'diagnostics of both')
    assert process.exit_code is None
    assert 'does nothing' not in process.log  # cameras is a parameter of the first node alone


def test_a_fast_camera_does_not_starve_a_slow_one_and_drops_are_exact(graph: Graph,
                                                                      tmp_path: Path):
    start(graph, model=write_plane_model(tmp_path / 'slow.onnx', 1024, 1280), threads=1)
    front, rear = cameras(graph)
    statuses = {name: graph.collect(InferenceStatus, f'{name}/perception/status', 100)
                for name in CAMERAS}
    graph.spin_until(lambda: all(statuses.values()), 'both', lambda: (front.publish(),
                                                                      rear.publish()))
    for _ in range(3):
        for _ in range(20):
            last = front.publish(with_info=False)
            graph.spin(0.002)
        single = rear.publish(with_info=False)
        graph.spin_until(lambda last=last, single=single: (
            statuses['front'][-1].header == last and statuses['rear'][-1].header == single),
            'the newest of both')
    for name in CAMERAS:
        final = statuses[name][-1]
        assert final.frames_in == final.frames_out + final.dropped + final.refused
    assert statuses['front'][-1].dropped > 0


def test_one_camera_changes_its_model_alone(graph: Graph, tmp_path: Path, plane_model: Path):
    start(graph, model=plane_model)
    other = write_plane_model(tmp_path / 'other.onnx', 32, 40)
    assert call(graph, LoadModel, 'rear/perception/load_model', model=str(other)).success
    front, rear = cameras(graph)
    masks = {name: graph.collect(Image, f'{name}/segmentation/mask') for name in CAMERAS}
    graph.spin_until(lambda: all(masks.values()), 'masks of both', lambda: (front.publish(),
                                                                            rear.publish()))
    assert {name: masks[name][-1].width for name in CAMERAS} == {'front': 80, 'rear': 40}
    assert call(graph, GetParameters, 'front/perception/get_parameters',
                names=['model']).values[0].string_value == str(plane_model)


def test_cameras_of_one_batch_keep_their_mounts_headers_and_counts(graph: Graph, tmp_path: Path):
    file = tmp_path / 'cameras.yaml'
    file.write_text(''.join(
        f'/{name}/perception:\n  ros__parameters:\n    mount.height: {height}\n'
        '    mount.pitch: 0.3\n' for name, height in (('front', 0.8), ('rear', 1.6))))
    start(graph, '--params-file', str(file), '-p', 'batching:=always', model='xnet_small')
    both = dict(zip(CAMERAS, cameras(graph), strict=True))
    depths = {name: graph.collect(Image, f'{name}/depth/image_rect') for name in CAMERAS}
    statuses = {name: graph.collect(InferenceStatus, f'{name}/perception/status', 100)
                for name in CAMERAS}
    diagnostics = graph.collect(DiagnosticArray, '/diagnostics')

    def publish() -> None:
        for camera in both.values():
            camera.publish()

    graph.spin_until(lambda: all(len(found) > 4 for found in depths.values())
                     and all(statuses.values()), 'depth and status', publish)
    for name, camera in both.items():
        assert {time_of(d.header) for d in depths[name]} <= {time_of(h) for h in camera.headers}
        last = statuses[name][-1]
        waiting = last.frames_in - last.frames_out - last.dropped
        assert last.refused == 0 and 0 <= waiting <= 2
    near, far = (np.frombuffer(depths[name][-1].data, np.float32) for name in CAMERAS)
    known = np.isfinite(near) & np.isfinite(far)
    assert known.any()
    np.testing.assert_allclose(far[known], 2 * near[known], rtol=1e-3)
    graph.spin_until(lambda: diagnostics, 'diagnostics')
    values = [{v.key: v.value for v in s.values} for a in diagnostics for s in a.status]
    assert {v['max_batch'] for v in values} == {'2'}


@pytest.mark.parametrize(('given', 'words'), [
    ((), 'parameter cameras is empty'),
    (('-p', 'cameras:=["front camera"]'), 'cannot be a namespace'),
    (('-p', 'cameras:=[front, front]'), 'has a name twice'),
    (('-p', 'cameras:=[front]', '-p', 'model:=nowhere.onnx'), 'camera front: no model file')])
def test_what_cannot_start_says_so(graph: Graph, given: tuple[str, ...], words: str):
    process = graph.start('multi_camera', *given)
    assert process.wait() == 1
    lines = [line for line in process.log.splitlines() if line.strip()]
    assert len(lines) == 1 and '[FATAL]' in lines[0] and words in lines[0]

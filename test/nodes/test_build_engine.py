"""The action build_engine: for real ahead of time, for this machine's GPU on the stand-in."""

from __future__ import annotations

import json
import math
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from helpers.camera import Camera
from helpers.code_model import write_code_model
from helpers.graph import Graph
from helpers.plane_model import plane_graph, save_model, write_plane_model
from helpers.scene import MOUNTED, Scene
from helpers.stand_in_cuda import stand_in_machine
from onnx import numpy_helper
from rclpy.action import ActionClient
from sensor_msgs.msg import Image

from dense_perception.cli.main import main
from dense_perception.inference.backends import gpu
from dense_perception.inference.engines import Engines
from dense_perception.inference.predictor import Predictor
from dense_perception.nodes.perception_node import PerceptionNode
from dense_perception_msgs.action import BuildEngine
from dense_perception_msgs.msg import InferenceStatus

AHEAD = {'backend': 'tensorrt_rtx', 'targets': ['SM89']}


class Build:
    """A goal under way, its feedback so far, and in the end its result."""

    def __init__(self, graph: Graph, **goal: Any) -> None:
        self._graph = graph
        self.feedback: list[BuildEngine.Feedback] = []
        client = ActionClient(graph.node, BuildEngine, 'perception/build_engine')
        graph.spin_until(client.server_is_ready, 'the action')
        sent = client.send_goal_async(BuildEngine.Goal(**goal), lambda message: (
            self.feedback.append(message.feedback)))
        graph.spin_until(sent.done, 'the answer to the goal')
        self.handle = sent.result()
        self._result = self.handle.get_result_async()

    def until(self, stage: str) -> None:
        self._graph.spin_until(lambda: any(f.stage == stage for f in self.feedback), stage)

    def result(self, meanwhile: Callable[[], Any] | None = None) -> BuildEngine.Result:
        self._graph.spin_until(self._result.done, 'the result', meanwhile)
        self.status = self._result.result().status
        return self._result.result().result


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache' / 'dense_perception' / 'engines'


@pytest.fixture
def rtx() -> None:
    pytest.importorskip('tensorrt_rtx', reason='TensorRT for RTX is not installed')


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    return stand_in_machine(monkeypatch, tmp_path / 'cache')


def test_an_engine_is_built_ahead_of_time_while_frames_flow(rtx, cache: Path, graph: Graph,
                                                            plane_model: Path):
    scene = Scene(graph, model=plane_model, **MOUNTED)
    scene.until_works()
    scene.forget()
    build = Build(graph, model='xnet_small', precision='fp16', **AHEAD)
    result = build.result(scene.camera.publish)
    assert result.success and build.status == GoalStatus.STATUS_SUCCEEDED
    assert scene.depths, 'no frame came out while it was built'
    engine = Path(result.engine)
    assert engine.parent == cache and engine.stat().st_size > 1_000_000
    assert engine.with_suffix('.json').exists() and result.seconds > 0
    assert result.images == 0 and math.isnan(result.abs_rel)
    assert 'on tensorrt_rtx fp16: built for SM89, not compared with fp32' in result.message
    shares = [f.progress for f in build.feedback]
    assert {f.stage for f in build.feedback} == {'building'} and len(shares) > 3
    assert shares == sorted(shares) and shares[0] < 0.3 and 0.8 < shares[-1] <= 1
    again = Build(graph, model='xnet_small', precision='fp16', **AHEAD)
    assert again.result().engine == result.engine and not again.feedback


def test_a_build_is_given_up_and_the_next_one_had_waited(rtx, cache: Path, graph: Graph,
                                                         plane_model: Path, tmp_path: Path):
    scene = Scene(graph, model=plane_model, **MOUNTED)
    first = Build(graph, model='xnet_small', **AHEAD)
    first.until('building')
    second = Build(graph, model=str(write_code_model(tmp_path / 'code.onnx', 'affine')), **AHEAD)
    second.until('waiting')
    cancelled = first.handle.cancel_goal_async()
    assert not first.result().success and first.status == GoalStatus.STATUS_CANCELED
    assert cancelled.done() and first.result().message == 'the build was given up'
    result = second.result()
    assert result.success and [f.name for f in cache.glob('*.engine')] == [
        Path(result.engine).name]
    scene.until_works()


def test_it_ends_with_the_node(rtx, cache: Path, graph: Graph, plane_model: Path):
    process = graph.start('perception', model=plane_model)
    Build(graph, model='xnet_small', **AHEAD).until('building')
    process.send(signal.SIGINT)
    assert process.wait() == 0 and 'Traceback' not in process.log, process.log
    assert not list(cache.glob('*.engine'))


def test_the_command_line_lets_a_node_build(rtx, cache: Path, graph: Graph, plane_model: Path,
                                            tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                            capsys: pytest.CaptureFixture):
    monkeypatch.setenv('ROS_DOMAIN_ID', str(graph.domain))
    graph.start('perception', model=plane_model)
    supported = write_code_model(tmp_path / 'code.onnx', 'affine')
    command = ['build-engine', str(supported), '--node', '/perception']
    assert main([*command, '--target', 'SM89']) == 0
    assert 'built for SM89' in capsys.readouterr().out and len(list(cache.glob('*.engine'))) == 1
    assert main([*command, '--target', 'SM1']) == 1
    assert 'does not build for "SM1"' in capsys.readouterr().err
    command[1] = str(plane_model)
    assert main([*command, '--target', 'SM89']) == 1
    assert 'does not support plane.onnx: operator Gather in layer' in capsys.readouterr().err
    assert main([*command, '--out', 'here']) == 1
    assert 'leave out --out' in capsys.readouterr().err


@pytest.mark.parametrize(('goal', 'said'), [
    ({'model': '/nowhere.onnx'}, 'no model file'),
    ({'backend': 'openvino'}, 'no engine for backend "openvino"; choose from tensorrt, '),
    ({'precision': 'fp8'}, 'no engine for precision "fp8"; choose from fp32, '),
    ({'backend': 'tensorrt', 'targets': ['SM89']}, 'builds for the GPU of this machine only')])
def test_what_cannot_be_built_is_one_sentence(machine, graph: Graph, plane_model: Path,
                                              goal: dict, said: str):
    graph.host(PerceptionNode, model=plane_model, backend='onnxruntime-cpu')
    build = Build(graph, **goal)
    result = build.result()
    assert not result.success and build.status == GoalStatus.STATUS_ABORTED
    assert said in result.message and '\n' not in result.message
    assert math.isnan(result.abs_rel) and result.engine == ''


def test_without_a_gpu_it_says_what_is_missing(cache: Path, graph: Graph, plane_model: Path,
                                               monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gpu, '_DRIVER', 'libnowhere.so.1')
    graph.host(PerceptionNode, model=plane_model, backend='onnxruntime-cpu')
    said = Build(graph, backend='').result().message
    assert said.startswith('tensorrt: ') and '; tensorrt_rtx: ' in said
    assert 'no NVIDIA GPU' in said or 'is not installed' in said


def test_an_engine_is_compared_and_serves(machine, graph: Graph, plane_model: Path):
    """The node fails to build at its start; when it works later, the goal's engine serves."""
    def broken(path: Path, progress: Callable) -> bytes:
        raise MemoryError
    works, machine.build = machine.build, broken
    statuses = graph.collect(InferenceStatus, 'perception/status')
    graph.collect(Image, 'segmentation/mask')
    graph.host(PerceptionNode, model=plane_model, **MOUNTED)
    camera = Camera(graph)
    graph.spin_until(lambda: statuses and statuses[-1].backend == 'onnxruntime-cpu',
                     'a status', camera.publish)
    machine.build = works
    build = Build(graph)
    result = build.result(camera.publish)
    assert result.success, result.message
    assert result.message == 'plane on tensorrt fp32: built; tensorrt serves'
    assert result.images == 16 and result.abs_rel == result.labels_differ == 0
    assert result.d1 == 1 and math.isnan(result.normals_degrees)
    assert build.feedback[-1].stage == 'comparing' and build.feedback[-1].progress == 1
    graph.spin_until(lambda: statuses[-1].backend == 'tensorrt', 'frames of the engine',
                     camera.publish)
    other = Build(graph, precision='fp16').result(camera.publish)
    assert other.success and 'the node is set to precision fp32' in other.message


def test_it_takes_what_the_node_is_building_anyway(machine, graph: Graph, plane_model: Path,
                                                   tmp_path: Path):
    go = threading.Event()

    def slow(path: Path, progress: Callable) -> bytes:
        assert progress(0.5) and go.wait(30)
        return path.read_bytes()
    machine.build = slow
    graph.host(PerceptionNode, model=plane_model, **MOUNTED)
    build = Build(graph)
    build.until('waiting')
    assert build.feedback[-1].message == 'waiting for another build: building tensorrt engine: 50%'
    go.set()
    assert build.result().message == 'plane on tensorrt fp32: built; tensorrt serves'
    assert machine.builds == 1
    other = write_plane_model(tmp_path / 'other.onnx', 32, 40)
    assert 'the node serves plane, load_model changes that' in Build(
        graph, model=str(other)).result().message


def test_what_it_built_ahead_of_time_is_taken_over_on_the_robot(machine, graph: Graph,
                                                                plane_model: Path):
    graph.host(PerceptionNode, model=plane_model, backend='onnxruntime-cpu')
    result = Build(graph, **AHEAD).result()
    assert result.success and f'--from {Path(result.engine).name}" does that' in result.message
    assert main(['build-engine', str(plane_model), '--backend', 'tensorrt_rtx', '--precision',
                 'fp32', '--count', '2', '--from', result.engine]) == 0
    assert Predictor(plane_model, 'tensorrt_rtx').backend == 'tensorrt_rtx'


def test_of_several_cameras_the_engine_is_for_all_at_once(machine, graph: Graph,
                                                          plane_model: Path):
    graph.host(lambda **options: PerceptionNode(Engines(batch=2), **options), model=plane_model,
               backend='onnxruntime-cpu')
    result = Build(graph, **AHEAD).result()
    assert '--precision fp32 --batch 2 --from' in result.message
    about = json.loads(Path(result.engine).with_suffix('.json').read_text())
    assert "('image', (2, 64, 80, 3))" in about['key']['shapes']


def test_an_engine_that_is_too_far_off_is_refused(machine, graph: Graph, plane_model: Path,
                                                  tmp_path: Path):
    nodes = plane_graph(64, 80)
    threshold = next(t for t in nodes.initializer if t.name == 'red_threshold')
    threshold.CopyFrom(numpy_helper.from_array(np.float32(64), 'red_threshold'))
    other = save_model(tmp_path / 'm.onnx', nodes, None)
    machine.build = lambda path, progress: other.read_bytes()
    graph.host(PerceptionNode, model=plane_model, backend='onnxruntime-cpu')
    result = Build(graph).result()
    assert 'refused: too far from fp32 on 16 images: labels_differ' in result.message
    assert not result.success and not list(machine.folder.glob('*.engine'))

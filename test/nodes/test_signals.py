"""SIGINT and SIGTERM end every executable cleanly, whenever they come."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.camera import Camera
from helpers.graph import Graph, NodeProcess
from sensor_msgs.msg import Image, PointCloud2

SIGNALS = (signal.SIGINT, signal.SIGTERM)
DELAYS_S = (0.0, 0.15, 0.3, 0.5, 0.8, 1.2)


def _catches_signals(process: NodeProcess) -> bool:
    """True from the first moment that the executable's own code can answer for."""
    status = Path(f'/proc/{process.pid}/status').read_text()
    caught = int(next(line for line in status.splitlines()
                      if line.startswith('SigCgt')).split()[1], 16)
    return all(caught >> (number - 1) & 1 for number in SIGNALS)


def _wait_until_it_catches(process: NodeProcess) -> None:
    while not _catches_signals(process):
        assert process.exit_code is None, process.log
        time.sleep(0.001)


def _assert_clean(process: NodeProcess) -> None:
    assert process.wait() == 0, process.log
    assert 'Traceback' not in process.log and 'Error' not in process.log, process.log


@pytest.mark.parametrize('number', SIGNALS, ids=lambda n: n.name)
@pytest.mark.parametrize('module', ['perception', 'image_source'])
def test_stop_while_starting(graph: Graph, plane_model: Path, tmp_path: Path, module: str,
                             number: signal.Signals):
    parameters = {'perception': {'model': plane_model}, 'image_source': {'source': 'demo'}}
    for delay in DELAYS_S:
        process = graph.start(module, **parameters[module])
        _wait_until_it_catches(process)
        time.sleep(delay)
        process.send(number)
        _assert_clean(process)


# A signal arrives before the node is made, while it is, and before it is refused.
MEANWHILE = """
import os, sys, rclpy
from dense_perception.nodes.image_source_node import ImageSourceNode
from dense_perception.ros.executable import FatalError, run
number, when, init = int(sys.argv[1]), sys.argv[2], rclpy.init
def initialise(**options):
    init(**options)
    if when == 'initialised':
        os.kill(os.getpid(), number)
def build():
    node = ImageSourceNode()
    if when == 'built':
        os.kill(os.getpid(), number)
    if when == 'refused':
        os.kill(os.getpid(), number)
        raise FatalError('no')
    assert rclpy.ok()
    print('built')
    return node
rclpy.init = initialise
sys.exit(run(build, ['image_source', '--ros-args', '-p', 'source:=demo']))
"""


@pytest.mark.parametrize('when', ['initialised', 'built', 'refused'])
@pytest.mark.parametrize('number', SIGNALS, ids=lambda n: n.name)
def test_a_signal_while_the_node_is_made(graph: Graph, number, when: str):
    environment = os.environ | {'ROS_DOMAIN_ID': str(graph.domain)}
    ended = subprocess.run([sys.executable, '-c', MEANWHILE, str(int(number)), when],
                           env=environment, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 0 and 'Traceback' not in ended.stderr, ended.stderr
    assert 'no' not in ended.stderr.split() and ('built' in ended.stdout) == (when == 'built')


@pytest.mark.parametrize('number', SIGNALS, ids=lambda n: n.name)
def test_stop_while_frames_flow(graph: Graph, plane_model: Path, number: signal.Signals):
    perception = graph.start('perception', model=plane_model, mount__height=0.8,
                             output_size='camera')
    source = graph.start('image_source', source='demo', rate=100.0)
    masks = graph.collect(Image, 'segmentation/mask')
    clouds = graph.collect(PointCloud2, 'depth/points')
    graph.spin_until(lambda: len(masks) > 5 and clouds, 'frames')
    for process in (perception, source):
        # The impatient press Ctrl-C again and again, until the very end.
        while process.exit_code is None:
            process.send(number)
            time.sleep(0.01)
        _assert_clean(process)


def test_stop_with_a_camera_that_goes_on(graph: Graph, plane_model: Path):
    perception = graph.start('perception', model=plane_model)
    camera = Camera(graph)
    masks = graph.collect(Image, 'segmentation/mask')
    graph.spin_until(lambda: len(masks) > 2, 'frames', camera.publish)
    perception.send(signal.SIGINT)
    graph.spin_until(lambda: perception.exit_code is not None, 'the end', camera.publish, 0.005)
    _assert_clean(perception)

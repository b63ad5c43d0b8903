"""The view command on a real graph, as pictures and as a Rerun recording."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.camera import Camera
from helpers.graph import PATIENCE_S, Graph
from sensor_msgs.msg import Image

from dense_perception.cli.command import CommandError
from dense_perception.cli.viewing import rerun_viewer
from dense_perception.cli.viewing.viewer import ViewerClosed

VIEW = [sys.executable, '-m', 'dense_perception.cli.main', 'view']


class View:
    """The command as a process beside the test's graph."""

    def __init__(self, graph: Graph, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [*VIEW, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env=os.environ | {'ROS_DOMAIN_ID': str(graph.domain)})

    def stop(self) -> tuple[int, str, str]:
        """End it with Ctrl-C: exit code, output, errors."""
        self._process.send_signal(signal.SIGINT)
        out, err = self._process.communicate(timeout=PATIENCE_S)
        return self._process.returncode, out, err

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


@pytest.fixture
def started(graph: Graph, plane_model: Path) -> Iterator[tuple[Graph, Camera]]:
    """The perception node in a namespace, its camera on a topic of another name."""
    graph.start('perception', '-r', '__ns:=/robot', '-r', 'image:=/eye', '-r',
                'camera_info:=/camera_info', model=plane_model, mount__height=0.5,
                mount__pitch=0.4)
    yield graph, Camera(graph, '/eye')


def test_pictures_of_a_graph_that_comes_late_and_sends_rubbish(
        graph: Graph, plane_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / 'pictures'
    view = View(graph, '--namespace', '/robot', '--remap', 'image:=/eye', '--save-png', folder,
                '--period', 0.2)
    try:
        camera = Camera(graph, '/eye')
        graph.start('perception', '-r', '__ns:=/robot', '-r', 'image:=/eye', '-r',
                    'camera_info:=/camera_info', model=plane_model, mount__height=0.5)
        masks = graph.collect(Image, '/robot/segmentation/mask')

        def pictures() -> list[Path]:
            return sorted(folder.glob('0*.png'))

        graph.spin_until(lambda: masks and len(pictures()) > 1, 'pictures of results',
                         camera.publish)
        before = len(pictures())
        for _ in range(3):
            camera.publish(encoding='smell')
            graph.spin(0.2)
        graph.spin_until(lambda: len(pictures()) > before, 'a picture after the bad frame',
                         camera.publish)
        code, out, err = view.stop()
    finally:
        view.kill()
    assert code == 0 and f'pictures in {folder}' in out and 'interrupted' in out
    assert '/eye: encoding "smell" is unknown' in err and 'Traceback' not in err
    assert cv2.imread(str(pictures()[-1])).std() > 20
    assert not list(folder.glob('.*'))


def test_a_recording_can_be_read_back(started: tuple[Graph, Camera], tmp_path: Path) -> None:
    rerun = pytest.importorskip('rerun', reason='rerun-sdk is not installed (view extra)')
    graph, camera = started
    file = tmp_path / 'run.rrd'
    statuses = graph.node.count_subscribers
    view = View(graph, '--namespace', '/robot', '--remap', 'image:=/eye', '--remap',
                'camera_info:=/camera_info', '--record', file)
    try:
        graph.spin_until(lambda: statuses('/robot/depth/points'), 'the viewer', camera.publish)
        end = time.monotonic() + 3
        graph.spin_until(lambda: time.monotonic() > end, 'time', camera.publish)
        assert not file.exists()  # it gets its name when it is complete
        code, out, err = view.stop()
    finally:
        view.kill()
    assert code == 0, err
    assert f'recorded in {file}' in out
    rows: Counter[str] = Counter()
    reader = rerun.chunk.RrdReader(file)
    for chunk in reader.stream():
        rows[chunk.entity_path.lstrip('/')] += chunk.num_rows
    assert len(reader.blueprints()) == 1
    for entity in (rerun_viewer.IMAGE, rerun_viewer.METRIC, rerun_viewer.MASK, rerun_viewer.CLOUD,
                   f'{rerun_viewer.NUMBERS}/latency', f'{rerun_viewer.NUMBERS}/inference'):
        assert rows[entity] > 1, f'{entity} is not among {rows}'
    for entity in (rerun_viewer.CAMERA, rerun_viewer.OUTPUTS):
        assert rows[entity] == 1  # the pinhole, once
    assert list(tmp_path.glob('.*.part')) == []


@pytest.mark.parametrize(('program', 'error', 'sentence'), [
    ('pass', ViewerClosed, 'the window was closed'),
    ('raise SystemExit("Error: winit: no DISPLAY")', CommandError,
     'no DISPLAY; without a screen use --web')])
def test_a_window_that_closes_says_why(program: str, error: type[Exception],
                                       sentence: str) -> None:
    pytest.importorskip('rerun', reason='rerun-sdk is not installed (view extra)')
    with pytest.raises(error, match=sentence):
        rerun_viewer.Window([sys.executable, '-c', program])


def test_a_window_ends_with_the_command(tmp_path: Path) -> None:
    """Rerun's server stands in for its window: a script that starts another process, too."""
    pytest.importorskip('rerun', reason='rerun-sdk is not installed (view extra)')
    window = rerun_viewer.Window([sys.executable, '-m', 'rerun', '--serve-grpc', '--bind',
                                  '127.0.0.1'])
    group = window._process.pid
    window.camera(0.0, np.zeros((4, 6, 3), np.uint8))
    window.tick()
    assert window.close() == ''
    with pytest.raises(ProcessLookupError):
        while True:  # the kernel removes its members one after the other
            os.killpg(group, 0)
            time.sleep(0.05)


def test_without_rerun_there_are_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'rerun', None)
    with pytest.raises(CommandError, match=r'pip install "dense_perception\[view\]".*--save-png'):
        rerun_viewer.Window()


@pytest.mark.parametrize(('arguments', 'sentence'), [
    (('--namespace', 'a b'), 'the namespace or a remapping cannot be used'),
    (('--remap', 'image=/eye'), 'the namespace or a remapping cannot be used'),
    (('--save-png', '/proc/none'), 'cannot write to /proc/none')])
def test_wrong_arguments_end_in_one_sentence(tmp_path: Path, arguments: tuple[str, ...],
                                             sentence: str) -> None:
    done = subprocess.run([*VIEW, '--save-png', tmp_path, *arguments], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 1 and len(done.stderr.strip().splitlines()) == 1
    assert sentence in done.stderr

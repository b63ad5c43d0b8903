"""The doctor's checks that need no graph."""

from __future__ import annotations

from collections import Counter, namedtuple
from pathlib import Path

import numpy as np
import pytest

from dense_perception.cli.doctoring import machine
from dense_perception.cli.doctoring.camera_checks import check_tf
from dense_perception.cli.doctoring.findings import Finding, Level, fail, ok, table
from dense_perception.cli.doctoring.node_checks import check_names
from dense_perception.cli.doctoring.settings import check_file
from dense_perception.cli.doctoring.tf_tree import TfTree
from dense_perception.inference.model_file import ModelFile
from dense_perception.ros import dds

ROOT = Path(__file__).resolve().parents[2]
OPTICAL = (-0.5, 0.5, -0.5, 0.5)
"""From body (x forward, y left, z up) to optical."""


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


def test_the_table_is_aligned_and_counts() -> None:
    lines = table([ok('a', 'fine'), fail('long name', 'broken', 'mend it')]).splitlines()
    assert lines[0] == 'OK    a          fine'
    assert lines[1] == 'FAIL  long name  broken'
    assert lines[2] == '                 -> mend it'
    assert lines[-1] == '1 OK, 0 WARN, 1 FAIL'


@pytest.mark.parametrize('file', sorted((ROOT / 'config').glob('*.yaml')),
                         ids=lambda file: file.name)
def test_the_shipped_parameter_files_are_right(file: Path) -> None:
    assert {f.level for f in check_file(file)} <= {Level.OK, Level.WARN}


@pytest.mark.parametrize(('text', 'level', 'words'), [
    ('/**/perception:\n  ros__parameters:\n    threads: 2\n    mount: {height: 0.5}\n', 'OK', ''),
    ('front:\n  perception:\n    ros__parameters:\n      use_sim_time: true\n', 'OK', 'every'),
    ('perception:\n  ros__parameters:\n    model: $(find-pkg-share a)/b\n', 'OK', 'every'),
    ('perception:\n  ros__parameters:\n    mount: {heigth: 0.5}\n', 'FAIL', '"mount.heigth"'),
    ('perception:\n  ros__parameters:\n    mount.height: 1\n', 'FAIL', 'write 1.0'),
    ('perception:\n  ros__parameters:\n    mount.height: -1.0\n', 'FAIL', 'must be within'),
    ('perception:\n  ros__parameters:\n    output_size: big\n', 'FAIL', 'must be one of'),
    ('/**:\n  ros__parameters:\n    spam: 1\n', 'WARN', '"spam"'),
    ('other:\n  ros__parameters:\n    spam: 1\n', 'WARN', 'none of our nodes'),
    ('perception:\n  model: xnet_small\n', 'FAIL', 'no section'),
    ('perception: [\n', 'FAIL', 'is no YAML'), ('', 'FAIL', 'no section')])
def test_parameter_files(tmp_path: Path, text: str, level: str, words: str) -> None:
    file = tmp_path / 'p.yaml'
    file.write_text(text)
    finding = only(check_file(file))
    assert finding.level.value == level and words in finding.sentence


def test_a_parameter_file_that_is_not_there() -> None:
    assert 'cannot be read' in only(check_file(Path('/nowhere.yaml'))).sentence


def test_profiles(tmp_path: Path) -> None:
    def finding(value: str | None, rmw: str = 'rmw_fastrtps_cpp') -> Finding:
        return only(machine.check_profile({dds.PROFILE_VARIABLE: value} if value else {}, rmw))

    assert finding(str(dds.PROFILE)).level is Level.OK
    assert finding(None).level is Level.WARN and str(dds.PROFILE) in finding(None).advice
    assert finding('/nowhere.xml').level is Level.FAIL
    small = tmp_path / 'small.xml'
    small.write_text('<profiles xmlns="http://a"><segment_size>1048576</segment_size></profiles>')
    assert finding(str(small)).level is Level.WARN and '1024 KiB' in finding(str(small)).sentence
    small.write_text('<profiles')
    assert finding(str(small)).level is Level.FAIL
    assert finding(None, 'rmw_cyclonedds_cpp').level is Level.WARN


def test_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple('usage', 'total used free')
    for free_mb, level in ((8, Level.FAIL), (40, Level.WARN), (64, Level.OK)):
        monkeypatch.setattr(machine.shutil, 'disk_usage',
                            lambda _, free=free_mb << 20: usage(64 << 20, 0, free))
        assert only(machine.check_shared_memory()).level is level
    monkeypatch.undo()
    assert only(machine.check_shared_memory(Path('/nowhere'))).level is Level.FAIL


def test_backends_say_why_not(plane_model: Path) -> None:
    model = ModelFile.open(plane_model)
    found = only(machine.check_backends(model, 'auto'))
    assert found.level is Level.OK and 'onnxruntime-cpu (' in found.sentence
    assert only(machine.check_backends(model, 'onnxruntime-cpu')).level is Level.OK
    assert 'not installed' in only(machine.check_backends(model, 'tensorrt')).sentence
    assert machine.check_model('/no/model.onnx', 'auto')[0].level is Level.FAIL


def test_names() -> None:
    assert only(check_names(Counter(), set())).level is Level.WARN
    assert only(check_names(Counter({'/a': 1, '/b': 1}), {'/a'})).level is Level.OK
    assert only(check_names(Counter({'/a': 2}), set())).level is Level.WARN
    assert only(check_names(Counter({'/a': 2}), {'/a'})).level is Level.FAIL


def tree(height: float, rotation: tuple[float, ...] = OPTICAL) -> TfTree:
    found = TfTree()
    found.add('base_footprint', 'base_link', (0, 0, 0.1), (0, 0, 0, 1))
    found.add('base_link', 'camera', (0.2, 0, height - 0.1), (0, 0, 0, 1))
    found.add('/camera', 'camera_optical', (0, 0, 0), rotation)
    found.add('map', 'odom', (1, 2, 3), (0, 0, 1, 0))
    return found


def test_poses_go_up_one_branch_and_down_another() -> None:
    pose = tree(0.5).pose('base_footprint', 'camera_optical')
    np.testing.assert_allclose(pose[:3, 3], (0.2, 0, 0.5), atol=1e-12)
    np.testing.assert_allclose(pose[:3, :3] @ (0, 0, 1), (1, 0, 0), atol=1e-12)
    np.testing.assert_allclose(tree(0.5).pose('camera_optical', 'base_footprint') @ pose,
                               np.eye(4), atol=1e-12)
    loop = TfTree()
    loop.add('a', 'b', (0, 0, 0), (0, 0, 0, 1))
    loop.add('b', 'a', (0, 0, 0), (0, 0, 0, 1))
    assert loop.frames == {'a', 'b'} and loop.pose('a', 'b') is None  # and it comes to an end


@pytest.mark.parametrize(('found', 'ground', 'frame', 'level', 'words'), [
    (tree(0.5), 'base_footprint', 'camera_optical', 'OK', '0.50 m above'),
    (tree(-0.5), 'base_footprint', 'camera_optical', 'FAIL', '0.50 m below'),
    (tree(0.5), 'base_footprint', 'lens', 'WARN', 'no frame lens'),
    (tree(0.5), 'map', 'camera_optical', 'WARN', 'does not connect'),
    (tree(0.5), 'base_footprint', 'camera', 'WARN', 'down is not down'),
    (tree(0.5), 'base_footprint', None, 'WARN', 'no image came')])
def test_tf(found: TfTree, ground: str, frame: str | None, level: str, words: str) -> None:
    finding = only(check_tf(found, ground, frame, 'advice'))
    assert finding.level.value == level and words in finding.sentence

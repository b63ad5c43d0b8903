"""The launch files, where ROS's launch is installed (it has no wheel)."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.graph import Graph
from sensor_msgs.msg import PointCloud2

pytest.importorskip('launch_ros', reason='launch_ros is not installed: launch files not tested')
packages = pytest.importorskip('ament_index_python.packages')

FOLDER = Path(__file__).resolve().parents[2] / 'launch'
FILES = sorted(FOLDER.glob('*.launch.py'))
COMMON = {'namespace', 'model', 'params_file', 'log_level'}


@pytest.fixture(autouse=True)
def installed() -> None:
    try:
        packages.get_package_share_directory('dense_perception')
    except packages.PackageNotFoundError:
        pytest.skip('dense_perception is not in AMENT_PREFIX_PATH: build it with colcon')


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.name)
def test_arguments_are_visible_and_described(file: Path):
    spec = importlib.util.spec_from_file_location('launch_file', file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    arguments = module.generate_launch_description().get_launch_arguments()
    assert {a.name for a in arguments} >= COMMON
    assert all(a.description and a.default_value is not None for a in arguments)


def test_demo_runs(graph: Graph, plane_model: Path, tmp_path: Path):
    """Both nodes start from the launch file, find each other, and end with it."""
    code = ('import sys; from launch import LaunchDescription, LaunchService\n'
            'from launch.actions import IncludeLaunchDescription as Include\n'
            'service = LaunchService()\n'
            'service.include_launch_description(LaunchDescription([Include(sys.argv[1], '
            "launch_arguments=[('model', sys.argv[2]), ('namespace', 'robot')])]))\n"
            'sys.exit(service.run())')
    clouds = graph.collect(PointCloud2, '/robot/depth/points')
    log = tmp_path / 'launch.log'
    with log.open('wb') as output:
        process = subprocess.Popen(
            [sys.executable, '-c', code, str(FOLDER / 'demo.launch.py'), str(plane_model)],
            env=os.environ | {'ROS_DOMAIN_ID': str(graph.domain)}, stdout=output,
            stderr=subprocess.STDOUT)
    try:
        graph.spin_until(lambda: clouds, 'a cloud')
    finally:
        process.terminate()
        assert process.wait(30) is not None
    assert 'Traceback' not in log.read_text(), log.read_text()

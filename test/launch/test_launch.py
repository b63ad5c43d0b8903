"""The launch files run by ROS's launch, where it is installed (it has no wheel)."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from helpers.camera import FRAME_ID, INTRINSICS, Camera
from helpers.graph import Graph
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

from dense_perception.ros.camera_info import info_from_intrinsics
from dense_perception.ros.images import image_from_array

pytest.importorskip('launch_ros', reason='launch_ros is not installed: launch files not run')
packages = pytest.importorskip('ament_index_python.packages')

FOLDER = Path(__file__).resolve().parents[2] / 'launch'
FILES = sorted(FOLDER.glob('*.launch.py'))
PROGRAM = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
service = LaunchService()
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    sys.argv[1], launch_arguments=[a.split(':=') for a in sys.argv[2:]])]))
sys.exit(service.run())
"""


@pytest.fixture(autouse=True)
def installed() -> None:
    try:
        packages.get_package_share_directory('dense_perception')
    except packages.PackageNotFoundError:
        pytest.skip('dense_perception is not in AMENT_PREFIX_PATH: build it with colcon')


@contextmanager
def launched(domain: int, log: Path, file: str, *arguments: str) -> Iterator[subprocess.Popen]:
    with log.open('wb') as output:
        process = subprocess.Popen(
            [sys.executable, '-c', PROGRAM, str(FOLDER / f'{file}.launch.py'), *arguments],
            env=os.environ | {'ROS_DOMAIN_ID': str(domain)}, stdout=output,
            stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.name)
def test_arguments_are_visible_and_described(file: Path) -> None:
    spec = importlib.util.spec_from_file_location('launch_file', file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    arguments = module.generate_launch_description().get_launch_arguments()
    assert {a.name for a in arguments} >= {'namespace', 'params_file', 'log_level'}
    assert all(a.description for a in arguments)


@pytest.mark.parametrize(('file', 'argument', 'sentence'), [
    ('xnet_depth', 'log_level:=loud', 'Argument "log_level" provided value "loud" is not valid'),
    ('xnet_depth', 'mount_height:=high', '"mount_height" is "high", it must be a number'),
    ('perception', 'params_file:=/nowhere.yaml', '/nowhere.yaml'),
    ('dpt_depth', 'namespace:=a', 'dense-perception convert'),
    ('perception', 'model:=/no/model.onnx', 'no model file')])
def test_what_is_wrong_is_said(ros_domain: int, tmp_path: Path, file: str, argument: str,
                               sentence: str) -> None:
    log = tmp_path / 'launch.log'
    with launched(ros_domain, log, file, argument) as process:
        process.wait(30)
    assert sentence in log.read_text()


def test_demo_runs(graph: Graph, plane_model: Path, tmp_path: Path) -> None:
    """Both nodes start from the launch file, find each other, and end with it."""
    log = tmp_path / 'launch.log'
    clouds = graph.collect(PointCloud2, '/robot/depth/points')
    with launched(graph.domain, log, 'demo', f'model:={plane_model}', 'namespace:=robot'):
        graph.spin_until(lambda: clouds, 'a cloud')
    text = log.read_text()
    assert 'Traceback' not in text and text.count('has finished cleanly') == 2, text


def test_several_cameras_run(graph: Graph, plane_model: Path, tmp_path: Path) -> None:
    log = tmp_path / 'launch.log'
    masks = {name: graph.collect(Image, f'/robot/{name}/segmentation/mask')
             for name in ('front', 'rear')}
    with launched(graph.domain, log, 'multi_camera', f'model:={plane_model}', 'namespace:=robot',
                  'cameras:=[front, rear]', 'image:=raw'):
        both = [Camera(graph, f'/robot/{name}/raw', info_topic=f'/robot/{name}/camera_info')
                for name in masks]
        graph.spin_until(lambda: all(masks.values()), 'masks of both',
                         lambda: [camera.publish() for camera in both])
    text = log.read_text()
    assert 'Traceback' not in text and text.count('has finished cleanly') == 1, text


def test_point_cloud_runs(graph: Graph, tmp_path: Path) -> None:
    log = tmp_path / 'launch.log'
    clouds = graph.collect(PointCloud2, '/robot/depth/points')
    depths = graph.node.create_publisher(Image, '/robot/stereo/depth', 2)
    infos = graph.node.create_publisher(CameraInfo, '/robot/stereo/info', 2)

    def publish() -> None:
        header = Header(stamp=graph.node.get_clock().now().to_msg(), frame_id=FRAME_ID)
        infos.publish(info_from_intrinsics(INTRINSICS, header))
        depths.publish(image_from_array(
            np.full((INTRINSICS.height, INTRINSICS.width), 2, np.float32), '32FC1', header))

    with launched(graph.domain, log, 'point_cloud', 'namespace:=robot', 'depth:=stereo/depth',
                  'camera_info:=stereo/info', 'use_colour:=false'):
        graph.spin_until(lambda: clouds, 'a cloud', publish)
    text = log.read_text()
    assert 'Traceback' not in text and text.count('has finished cleanly') == 1, text

"""The project's own source, read without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / 'dense_perception'
TRAINING = ROOT / 'training' / 'dense_perception_training'

_ROS_PACKAGES = {'ament_index_python', 'cv_bridge', 'launch', 'launch_ros', 'message_filters',
                 'rclpy', 'tf2_ros'}


def imports(file: Path) -> Iterator[str]:
    """Every module a file imports, dotted, wherever in the file it does."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{file} imports relatively, which is not followed here'
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


def is_ros(package: str) -> bool:
    """Whether a top-level Python package comes from ROS."""
    return package in _ROS_PACKAGES or package.endswith(('_msgs', '_srvs', '_interfaces'))

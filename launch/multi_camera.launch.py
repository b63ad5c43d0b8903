"""Launch the perception of several cameras in one process, which share the model."""

from __future__ import annotations

from launch import LaunchDescription

from dense_perception.ros import launching


def generate_launch_description() -> LaunchDescription:
    """See ros2 launch dense_perception multi_camera.launch.py --show-args."""
    return launching.multi_camera_launch()

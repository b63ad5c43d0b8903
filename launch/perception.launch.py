"""Launch the perception node on a camera's topics, with the model that its parameters name."""

from __future__ import annotations

from launch import LaunchDescription

from dense_perception.ros import launching


def generate_launch_description() -> LaunchDescription:
    """See ros2 launch dense_perception perception.launch.py --show-args."""
    return launching.camera_launch()

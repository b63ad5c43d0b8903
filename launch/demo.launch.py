"""Launch the perception node on the demo clip, or on another source."""

from __future__ import annotations

from launch import LaunchDescription

from dense_perception.ros import launching


def generate_launch_description() -> LaunchDescription:
    """See ros2 launch dense_perception demo.launch.py --show-args."""
    return launching.demo_launch()

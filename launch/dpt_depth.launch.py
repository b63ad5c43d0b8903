"""Launch metric or relative depth of a camera, by a DPT model file of your own."""

from __future__ import annotations

from launch import LaunchDescription

from dense_perception.ros import launching


def generate_launch_description() -> LaunchDescription:
    """See ros2 launch dense_perception dpt_depth.launch.py --show-args."""
    return launching.camera_launch(launching.DPT)

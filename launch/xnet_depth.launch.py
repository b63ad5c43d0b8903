"""Launch metric depth and a point cloud of a camera, by the shipped xNet model."""

from __future__ import annotations

from launch import LaunchDescription

from dense_perception.ros import launching


def generate_launch_description() -> LaunchDescription:
    """See ros2 launch dense_perception xnet_depth.launch.py --show-args."""
    return launching.camera_launch(launching.XNET)

"""Launch the point cloud node on depth images of any source."""

from __future__ import annotations

from launch import LaunchDescription

from dense_perception.ros import launching


def generate_launch_description() -> LaunchDescription:
    """See ros2 launch dense_perception point_cloud.launch.py --show-args."""
    return launching.point_cloud_launch()

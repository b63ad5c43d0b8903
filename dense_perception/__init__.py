"""Camera images to metric depth, semantic masks and point clouds, on a ROS 2 graph."""

__version__ = '0.1.0'

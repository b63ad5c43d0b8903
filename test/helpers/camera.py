"""A camera on the test's graph that publishes what it is told to, good or bad."""

from __future__ import annotations

from typing import Any

import numpy as np
from helpers.graph import Graph
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from dense_perception.geometry.camera import Intrinsics
from dense_perception.ros.camera_info import info_from_intrinsics
from dense_perception.ros.images import image_from_array

INTRINSICS = Intrinsics(150.0, 152.0, 160.7, 118.9, 320, 240)
FRAME_ID = 'front_camera_optical_frame'


def half_red(width: int = 320, height: int = 240) -> np.ndarray:
    """Black on the left, red on the right."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, width // 2:, 0] = 255
    return pixels


def time_of(header: Header) -> tuple[int, int]:
    """Seconds and nanoseconds: what the outputs of one image have in common."""
    return header.stamp.sec, header.stamp.nanosec


class Camera:
    """Publishers of ``image`` and ``camera_info``, and the headers that were sent."""

    def __init__(self, graph: Graph, topic: str = 'image',
                 reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE,
                 message_type: type = Image, info_topic: str = 'camera_info') -> None:
        self._graph = graph
        qos = QoSProfile(depth=2, reliability=reliability)
        self.images = graph.node.create_publisher(message_type, topic, qos)
        self.infos = graph.node.create_publisher(CameraInfo, info_topic, qos)
        self.headers: list[Header] = []

    def unplug(self) -> None:
        """Withdraw the topics."""
        self._graph.node.destroy_publisher(self.images)
        self._graph.node.destroy_publisher(self.infos)

    def header(self) -> Header:
        """A new header with the time of now."""
        header = Header(stamp=self._graph.node.get_clock().now().to_msg(), frame_id=FRAME_ID)
        self.headers.append(header)
        return header

    def publish(self, pixels: np.ndarray | None = None, info: CameraInfo | None = None,
                with_info: bool = True, **changes: Any) -> Header:
        """Publish one image; ``changes`` overwrite fields of its message."""
        image = image_from_array(half_red() if pixels is None else pixels, 'rgb8', Header())
        for name, value in changes.items():
            setattr(image, name, value)
        return self.send(image, info, with_info)

    def send(self, image: Image | CompressedImage, info: CameraInfo | None = None,
             with_info: bool = True) -> Header:
        """Publish a message of one's own, with a new header."""
        header = self.header()
        if with_info:
            info = info or info_from_intrinsics(INTRINSICS, header)
            info.header = header
            self.infos.publish(info)
        image.header = header
        self.images.publish(image)
        return header

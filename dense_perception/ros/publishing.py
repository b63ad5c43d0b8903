"""Publishers that send arrays, and only to somebody."""

from __future__ import annotations

import array

import numpy as np
from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from std_msgs.msg import Header

from dense_perception.ros import qos
from dense_perception.ros.clouds import cloud_from_points
from dense_perception.ros.images import byte_array, image_from_array


class OutputPublisher:
    """One output topic with the package's QoS; keeps the bytes of its last message for the next.

    :param message_type: of the topic; ``publish_array`` knows Image, CompressedImage and
        PointCloud2.
    """

    def __init__(self, node: Node, message_type: type, topic: str) -> None:
        self._publisher = node.create_publisher(
            message_type, topic, qos.OUTPUT, qos_overriding_options=qos.overridable(),
            event_callbacks=PublisherEventCallbacks(incompatible_qos=self._on_mismatch))
        self._mismatched = False
        self._node = node
        self._type = message_type
        self._bytes: array.array | None = None
        self.publish = self._publisher.publish
        self.topic = self._publisher.topic_name

    @property
    def wanted(self) -> bool:
        """True if somebody subscribes."""
        return self._publisher.get_subscription_count() > 0

    def publish_array(self, values: np.ndarray, form: str, header: Header) -> int:
        """Publish an array as a message of the topic's type; returns its size in bytes.

        :param values: pixels (see ``image_from_array``), bytes of a compressed image (uint8), or
            points (see ``cloud_from_points``).
        :param form: encoding of an image, format of a compressed one.
        """
        if self._type is PointCloud2:
            return self._send(cloud_from_points(values, header, self._bytes))
        if self._type is CompressedImage:
            return self._send(CompressedImage(header=header, format=form,
                                              data=byte_array(values, self._bytes)))
        return self._send(image_from_array(values, form, header, self._bytes))

    def mismatch(self) -> str:
        """Who asks for the topic with a quality of service that it is not offered with."""
        # Only looked for after an event: asking the graph about every topic costs milliseconds.
        found = self._mismatched and qos.unserved(self._node, self._publisher)
        self._mismatched = bool(found)
        return found and (f'{self.topic} is not heard by {", ".join(found)}: its quality of '
                          'service asks for more than is offered') or ''

    def _on_mismatch(self, event: object) -> None:
        self._mismatched = True

    def destroy(self) -> None:
        """Withdraw the topic."""
        self._node.destroy_publisher(self._publisher)

    def wait_until_received(self, seconds: float) -> None:
        """Wait until reliable subscribers have everything, but not longer than ``seconds``."""
        self._publisher.wait_for_all_acked(Duration(seconds=seconds))

    def _send(self, message: Image | CompressedImage | PointCloud2) -> int:
        self._publisher.publish(message)
        self._bytes = message.data
        return len(message.data)

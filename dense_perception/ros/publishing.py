"""Publishers that send arrays, and only to somebody."""

from __future__ import annotations

import numpy as np
from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.node import Node
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header

from dense_perception.ros import qos
from dense_perception.ros.clouds import cloud_from_points
from dense_perception.ros.images import image_from_array, set_bytes


class OutputPublisher:
    """One output topic with the package's QoS; its messages are one that is filled again.

    :param message_type: of the topic; ``publish_array`` knows Image, CompressedImage and
        PointCloud2.
    """

    def __init__(self, node: Node, message_type: type, topic: str) -> None:
        self._publisher = node.create_publisher(
            message_type, topic, qos.OUTPUT, qos_overriding_options=qos.overridable(),
            # Whoever waits for messages looks at every event of every publisher each time:
            # with twenty topics that was half of the executor's work.
            event_callbacks=PublisherEventCallbacks(use_default_callbacks=False))
        self._node = node
        self._message = message_type()
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
        message = self._message
        if isinstance(message, PointCloud2):
            cloud_from_points(values, header, message)
        elif isinstance(message, Image):
            image_from_array(values, form, header, message)
        else:
            message.header, message.format = header, form
            set_bytes(message.data, values)
        self._publisher.publish(message)
        return len(message.data)

    def mismatch(self) -> str:
        """Who asks for the topic with a quality of service that it is not offered with."""
        # Counting costs microseconds; asking the graph who they are costs ten times as much.
        all_served = (self._node.count_subscribers(self.topic)
                      <= self._publisher.get_subscription_count())
        found = [] if all_served else qos.unserved(self._node, self._publisher)
        return found and (f'{self.topic} is not heard by {", ".join(found)}: its quality of '
                          'service asks for more than is offered') or ''

    def destroy(self) -> None:
        """Withdraw the topic."""
        self._node.destroy_publisher(self._publisher)

    def wait_until_received(self, seconds: float) -> None:
        """Wait until reliable subscribers have everything, but not longer than ``seconds``."""
        self._publisher.wait_for_all_acked(Duration(seconds=seconds))

"""The perception node's topics: what the model offers, sent to whoever subscribes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import ColorRGBA, Header

from dense_perception.inference import card as names
from dense_perception.ros import qos
from dense_perception.ros.pipeline import Result
from dense_perception.ros.publishing import OutputPublisher
from dense_perception_msgs.msg import InferenceStatus, SegmentationClass, SegmentationClasses

DEPTH, RELATIVE, INFO, POINTS = (
    'depth/image_rect', 'depth/relative', 'depth/camera_info', 'depth/points')
MASK, CONFIDENCE, CLASSES, LABEL_INFO = (
    'segmentation/mask', 'segmentation/confidence', 'segmentation/classes',
    'segmentation/label_info')
STATUS = '~/status'

_TYPES = {DEPTH: Image, RELATIVE: Image, INFO: CameraInfo, POINTS: PointCloud2, MASK: Image,
          CONFIDENCE: Image, STATUS: InferenceStatus}


class Outputs:
    """Publishers of everything that a model with this card can give.

    :param may_scale: whether a scale source decides if its depth is metric.
    """

    def __init__(self, node: Node, card: names.ModelCard, may_scale: bool) -> None:
        self._publishers = {
            topic: OutputPublisher(node, _TYPES[topic], topic)
            for topic in _offered(card, may_scale)}
        self._latched = _latched_publishers(node, card) if MASK in self._publishers else []
        self._mask_header: Header | None = Header()

    def wanted(self) -> frozenset[str]:
        """Topics that somebody subscribes to; no frame needs work while there is none."""
        return frozenset(topic for topic, publisher in self._publishers.items()
                         if publisher.wanted)

    def publish(self, result: Result, header: Header, wanted: frozenset[str],
                info: Callable[[], CameraInfo] | None) -> int:
        """Publish the wanted outputs of one frame, all with ``header``.

        :param info: makes the CameraInfo of the outputs; None if the camera is unknown.
        :returns: bytes of the largest message.
        """
        largest = 0
        for topic, pixels, encoding in (
                (DEPTH, result.depth if result.metric else None, '32FC1'),
                (RELATIVE, None if result.metric else result.depth, '32FC1'),
                (MASK, result.labels, 'mono8'), (CONFIDENCE, result.confidence, 'mono8')):
            if topic in wanted and pixels is not None:
                largest = max(largest, self._publishers[topic].publish_image(pixels, encoding,
                                                                             header))
        if INFO in wanted and info is not None:
            self._publishers[INFO].publish(info())
        if POINTS in wanted and result.points is not None:
            largest = max(largest, self._publishers[POINTS].publish_points(result.points, header))
        if result.labels is not None:
            self._mask_header = header
        return largest

    def publish_status(self, status: InferenceStatus) -> None:
        """Publish the status of one frame."""
        self._publishers[STATUS].publish(status)

    def publish_classes(self) -> None:
        """Publish the class lists again if masks went out since the last time."""
        header, self._mask_header = self._mask_header, None
        if header is not None:
            for publisher, message in self._latched:
                message.header = header
                publisher.publish(message)


def _offered(card: names.ModelCard, may_scale: bool) -> list[str]:
    topics = [STATUS]
    if names.OUTPUT_DEPTH in card.outputs:
        metric = card.depth_convention == 'metric'
        topics += [DEPTH, INFO, POINTS] if metric or may_scale else [INFO]
        topics += [RELATIVE] if not metric or may_scale or card.takes_mount else []
    topics += [MASK] if names.OUTPUT_LABELS in card.outputs else []
    topics += [CONFIDENCE] if names.OUTPUT_CONFIDENCE in card.outputs else []
    return topics


def _latched_publishers(node: Node, card: names.ModelCard) -> list[tuple[Publisher, object]]:
    messages = [(CLASSES, _classes(card))]
    try:
        messages.append((LABEL_INFO, _label_info(card)))
    except ImportError:
        node.get_logger().info(f'vision_msgs is not installed: no {LABEL_INFO}, {CLASSES} only')
    return [(node.create_publisher(type(message), topic, qos.LATCHED), message)
            for topic, message in messages]


def _classes(card: names.ModelCard) -> SegmentationClasses:
    def colour(rgb: tuple[int, int, int]) -> ColorRGBA:
        r, g, b = (float(v) for v in np.float32(rgb) / 255)
        return ColorRGBA(r=r, g=g, b=b, a=1.0)

    return SegmentationClasses(model=card.name, classes=[
        SegmentationClass(id=c.id, name=c.name, color=colour(c.colour))
        for c in sorted(card.classes, key=lambda c: c.id)])


def _label_info(card: names.ModelCard) -> object:
    from vision_msgs.msg import LabelInfo, VisionClass
    return LabelInfo(threshold=0.0, class_map=[
        VisionClass(class_id=c.id, class_name=c.name) for c in card.classes])

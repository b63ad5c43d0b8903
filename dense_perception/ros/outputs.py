"""The perception node's topics: what the model offers, sent to whoever subscribes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import ColorRGBA, Header

from dense_perception import viz
from dense_perception.inference import card as names
from dense_perception.ros import pictures, qos
from dense_perception.ros.cloud_stage import Wants
from dense_perception.ros.pipeline import Result
from dense_perception.ros.publishing import OutputPublisher
from dense_perception_msgs.msg import InferenceStatus, SegmentationClass, SegmentationClasses

DEPTH, RELATIVE, INFO, POINTS, OBSTACLES, GROUND = (
    'depth/image_rect', 'depth/relative', 'depth/camera_info', 'depth/points', 'depth/obstacles',
    'depth/ground')
MILLIMETRES, COMPRESSED, COLOURED = (
    'depth/image_raw', 'depth/image_raw/compressedDepth', 'depth/coloured')
MASK, CONFIDENCE, OVERLAY, CLASSES, LABEL_INFO, ALPHA = (
    'segmentation/mask', 'segmentation/confidence', 'segmentation/overlay',
    'segmentation/classes', 'segmentation/label_info', 'segmentation/alpha')
NORMALS, NORMALS_COLOURED = 'normals/image', 'normals/coloured'
STATUS = '~/status'


@dataclass(frozen=True)
class Topic:
    """An output made of nothing but a result.

    ``form``: encoding of an Image, format of a CompressedImage. ``content``: the array to send,
    None if the result has none; called only if somebody subscribes.
    """

    message: type
    content: Callable[[Result], np.ndarray | None]
    form: str = ''


class Outputs:
    """Publishers of everything that a model can give; none before ``offer``."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._topics: dict[str, Topic] = {}
        self._publishers: dict[str, OutputPublisher] = {}
        self._latched: dict[str, Publisher] = {}
        self._messages: dict[str, Any] = {}
        self._mask_header: Header | None = None

    def offer(self, card: names.ModelCard, may_scale: bool) -> None:
        """Offer the topics of a model; those that it shares with the one before stay as they are.

        :param may_scale: whether a scale source decides if its depth is metric.
        """
        types = message_types(card, may_scale)
        for name in self._publishers.keys() - types.keys():
            self._publishers.pop(name).destroy()
        for name in types.keys() - self._publishers.keys():
            self._publishers[name] = OutputPublisher(self._node, types[name], name)
        self._topics = topics_of(card, may_scale)
        messages = _latched_messages(self._node, card) if MASK in types else {}
        for name in self._latched.keys() - messages.keys():
            self._node.destroy_publisher(self._latched[name])
        self._latched = {name: self._latched.get(name) or self._node.create_publisher(
            type(message), name, qos.LATCHED) for name, message in messages.items()}
        self._messages = messages
        self._mask_header = Header()

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
        for name, topic in self._topics.items():
            if name in wanted and (content := topic.content(result)) is not None:
                largest = max(largest,
                              self._publishers[name].publish_array(content, topic.form, header))
        if INFO in wanted and info is not None:
            self._publishers[INFO].publish(info())
        if result.labels is not None:
            self._mask_header = header
        return largest

    def mismatch(self) -> str:
        """Who asks for an output with another quality of service than it has; empty if nobody."""
        return '; '.join(filter(None, (p.mismatch() for p in self._publishers.values())))

    def publish_status(self, status: InferenceStatus) -> None:
        """Publish the status of one frame."""
        self._publishers[STATUS].publish(status)

    def publish_classes(self) -> None:
        """Publish the class lists again if masks went out since the last time."""
        header, self._mask_header = self._mask_header, None
        if header is not None:
            for name, message in self._messages.items():
                message.header = header
                self._latched[name].publish(message)


def wanted_clouds(wanted: frozenset[str]) -> Wants:
    """The clouds among the wanted topics."""
    return Wants(POINTS in wanted, OBSTACLES in wanted, GROUND in wanted)


def message_types(card: names.ModelCard, may_scale: bool) -> dict[str, type]:
    """Message types of all outputs of a model but the latched ones, by their names."""
    types = {name: topic.message for name, topic in topics_of(card, may_scale).items()}
    types |= {INFO: CameraInfo} if names.OUTPUT_DEPTH in card.outputs else {}
    return types | {STATUS: InferenceStatus}


def topics_of(card: names.ModelCard, may_scale: bool) -> dict[str, Topic]:
    """The outputs of a model by their names, in the order they are published.

    :param may_scale: see :class:`Outputs`.
    """
    metric = card.depth_convention == 'metric'
    topics: dict[str, Topic] = {}
    if names.OUTPUT_DEPTH in card.outputs:
        topics |= _metric_topics() if metric or may_scale else {}
        if not metric or may_scale or card.takes_mount:
            topics[RELATIVE] = Topic(Image, lambda r: None if r.metric else r.depth, '32FC1')
        topics[COLOURED] = Topic(
            Image, lambda r: pictures.coloured_depth(r.depth, r.metric), 'rgb8')
    if names.OUTPUT_LABELS in card.outputs:
        overlay = pictures.Overlay(card.classes)
        topics[MASK] = Topic(Image, lambda r: r.labels, 'mono8')
        topics[OVERLAY] = Topic(Image, lambda r: overlay.paint(r.image, r.labels), 'rgb8')
    if names.OUTPUT_CONFIDENCE in card.outputs:
        topics[CONFIDENCE] = Topic(Image, lambda r: r.confidence, 'mono8')
    if names.OUTPUT_ALPHA in card.outputs:
        topics[ALPHA] = Topic(Image, lambda r: pictures.opacity(r.alpha), 'mono8')
    if names.OUTPUT_NORMALS in card.outputs:
        topics[NORMALS] = Topic(Image, lambda r: r.normals, '32FC3')
        topics[NORMALS_COLOURED] = Topic(
            Image, lambda r: viz.colour_normals(r.normals), 'rgb8')
    return topics


def _metric_topics() -> dict[str, Topic]:
    def if_metric(make: Callable[[np.ndarray], np.ndarray]) -> Callable[[Result], Any]:
        return lambda r: make(r.depth) if r.metric else None

    return {
        DEPTH: Topic(Image, if_metric(lambda depth: depth), '32FC1'),
        MILLIMETRES: Topic(Image, if_metric(pictures.millimetres), '16UC1'),
        COMPRESSED: Topic(
            CompressedImage,
            if_metric(lambda depth: pictures.compressed_depth(pictures.millimetres(depth))),
            pictures.COMPRESSED_DEPTH),
        POINTS: Topic(PointCloud2, lambda r: r.clouds.points),
        OBSTACLES: Topic(PointCloud2, lambda r: r.clouds.obstacles),
        GROUND: Topic(PointCloud2, lambda r: r.clouds.ground)}


def _latched_messages(node: Node, card: names.ModelCard) -> dict[str, Any]:
    messages: dict[str, Any] = {CLASSES: _classes(card)}
    try:
        messages[LABEL_INFO] = _label_info(card)
    except ImportError:
        node.get_logger().info(f'vision_msgs is not installed: no {LABEL_INFO}, {CLASSES} only')
    return messages


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

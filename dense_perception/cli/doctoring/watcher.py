"""Looks at the graph for a few seconds and remembers what was there."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.srv import GetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import NodeNameNonExistentError
from rclpy.parameter import parameter_value_to_python
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from dense_perception.ros import dds
from dense_perception.ros.qos import LATCHED, AdaptiveSubscription
from dense_perception_msgs.msg import CameraMount, InferenceStatus

NODE = 'dense_perception_doctor'
_STATUS_TYPE = 'dense_perception_msgs/msg/InferenceStatus'
_DISCOVERY_S = 1.5
_UNKNOWN = '_NODE_NAMESPACE_UNKNOWN_'  # of a node whose topics are known before its name
_NAMES_S = 3.0
_ASKED = ('model', 'backend', 'use_sim_time', 'image_geometry', 'rectify', 'mount.source',
          'mount.height', 'mount.ground_frame')


@dataclass
class Heard:
    """What came on a topic: how often, and the last ``kept`` messages."""

    topic: str
    kept: int = 64
    arrivals: list[float] = field(default_factory=list)
    ages: list[float] = field(default_factory=list)
    messages: list[Any] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Messages per second; 0 with fewer than two."""
        span = self.arrivals[-1] - self.arrivals[0] if self.arrivals else 0.0
        return (len(self.arrivals) - 1) / span if span > 0 else 0.0

    @property
    def last(self) -> Any:
        """The newest message, or None."""
        return self.messages[-1] if self.messages else None


@dataclass
class Perception:
    """A running perception node."""

    name: str
    namespace: str
    status: Heard
    images: list[tuple[str, type]] = field(default_factory=list)
    infos: list[str] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    diagnostics: DiagnosticStatus | None = None

    @property
    def path(self) -> str:
        """Its full name."""
        return f'{self.namespace.rstrip("/")}/{self.name}'


class Watcher:
    """A node of its own on the user's graph; a context manager.

    :param namespace: look at this namespace only; empty = everywhere.
    """

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        dds.use_shipped_profile()
        self._context = rclpy.Context()
        self._context.init(args=[])
        self.node = rclpy.create_node(NODE, context=self._context, use_global_arguments=False)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._heard: dict[tuple[str, type], Heard] = {}
        self.clock = Heard('/clock')
        self.diagnostics: dict[str, DiagnosticStatus] = {}
        self.transforms: list[Any] = []
        self.knows_tf = self._listen_to_tf()
        self.node.create_subscription(Clock, '/clock', self._into(self.clock), QoSProfile(depth=1))
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics,
                                      QoSProfile(depth=10))
        self.spin(_DISCOVERY_S)

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()

    def spin(self, seconds: float) -> None:
        """Take in what comes."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def perception_nodes(self) -> list[Perception]:
        """The perception nodes, each listened to from now on so that they listen to a camera."""
        end = time.monotonic() + _NAMES_S
        while (found := self._status_publishers()) and time.monotonic() < end and any(
                space == _UNKNOWN for _, _, space in found):
            self.spin(0.1)
        return [Perception(name, space, self.hear(InferenceStatus, topic))
                for topic, name, space in found if space != _UNKNOWN]

    def _status_publishers(self) -> list[tuple[str, str, str]]:
        """Topic, node name and namespace of whoever publishes the status of a perception node."""
        return [(topic, info.node_name, info.node_namespace)
                for topic, types in self.node.get_topic_names_and_types()
                if _STATUS_TYPE in types and topic.startswith(self._namespace)
                for info in self.node.get_publishers_info_by_topic(topic)]

    def look_into(self, node: Perception) -> None:
        """Find out which camera a node listens to, and its parameters."""
        try:
            listened = self.node.get_subscriber_names_and_types_by_node(node.name, node.namespace)
        except NodeNameNonExistentError:
            return  # it has ended meanwhile
        for topic, types in listened:
            for kind in (Image, CompressedImage):
                if f'sensor_msgs/msg/{kind.__name__}' in types:
                    node.images.append((topic, kind))
            if 'sensor_msgs/msg/CameraInfo' in types:
                node.infos.append(topic)
        client = self.node.create_client(GetParameters, f'{node.path}/get_parameters')
        if client.wait_for_service(1.0):
            for name in _ASKED:  # one by one: an unknown name empties the whole answer
                answer = client.call_async(GetParameters.Request(names=[name]))
                self._executor.spin_until_future_complete(answer, 2.0)
                if answer.done() and answer.result() and answer.result().values:
                    node.parameters[name] = parameter_value_to_python(answer.result().values[0])

    def hear(self, message_type: type, topic: str, latched: bool = False,
             kept: int = 64) -> Heard:
        """Listen to a topic from now on, the way its publishers offer it."""
        if (topic, message_type) not in self._heard:
            heard = self._heard[topic, message_type] = Heard(topic, kept)
            if latched:
                self.node.create_subscription(message_type, topic, self._into(heard), LATCHED)
            else:
                AdaptiveSubscription(self.node, message_type, topic, self._into(heard)).adapt()
        return self._heard[topic, message_type]

    def hear_mount(self, topic: str) -> Heard:
        """Listen to a CameraMount topic."""
        return self.hear(CameraMount, topic, latched=True)

    def hear_image(self, topic: str, kind: type) -> Heard:
        """Listen to a camera; only the last few images are kept."""
        return self.hear(kind, topic, kept=4)

    def hear_info(self, topic: str) -> Heard:
        """Listen to its calibration."""
        return self.hear(CameraInfo, topic)

    def node_counts(self) -> Counter[str]:
        """How many nodes have each full name, without this one."""
        names = Counter(f'{space.rstrip("/")}/{name}'
                        for name, space in self.node.get_node_names_and_namespaces())
        del names[f'/{NODE}']
        return names

    def topics_of_type(self, *kinds: str) -> list[str]:
        """Topics of these message types that somebody publishes."""
        return sorted(topic for topic, types in self.node.get_topic_names_and_types()
                      if set(types) & set(kinds) and self.node.count_publishers(topic))

    def _into(self, heard: Heard) -> Callable[[Any], None]:
        def callback(message: Any) -> None:
            heard.arrivals.append(time.monotonic())
            if (header := getattr(message, 'header', None)) is not None:
                now = self.node.get_clock().now().nanoseconds * 1e-9
                heard.ages.append(now - header.stamp.sec - header.stamp.nanosec * 1e-9)
            heard.messages.append(message)
            del heard.messages[:-heard.kept]
        return callback

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        self.diagnostics |= {status.name: status for status in msg.status}

    def _listen_to_tf(self) -> bool:
        try:
            from tf2_msgs.msg import TFMessage
        except ImportError:
            return False
        for topic, durability in (('/tf', DurabilityPolicy.VOLATILE),
                                  ('/tf_static', DurabilityPolicy.TRANSIENT_LOCAL)):
            self.node.create_subscription(
                TFMessage, topic, lambda msg: self.transforms.extend(msg.transforms),
                QoSProfile(depth=100, durability=durability))
        return True


def names_of(infos: Sequence[Any]) -> list[str]:
    """Full node names of publishers or subscriptions."""
    return [f'{i.node_namespace.rstrip("/")}/{i.node_name}' for i in infos]

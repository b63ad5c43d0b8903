"""Quality of service: inputs that adapt to their publishers, outputs that serve everybody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

from dense_perception.ros.executable import FatalError

OUTPUT = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=2,
                    reliability=ReliabilityPolicy.RELIABLE)
"""Reliable, because depth_image_proc and RViz ask for it; it serves best-effort readers too."""

LATCHED = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1,
                     reliability=ReliabilityPolicy.RELIABLE,
                     durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""For what changes rarely and late joiners need: classes, the camera's mount."""

_ADAPT = 'adapt'
_FIXED = {'reliable': ReliabilityPolicy.RELIABLE, 'best_effort': ReliabilityPolicy.BEST_EFFORT}


def overridable() -> QoSOverridingOptions:
    """Let parameters ``qos_overrides.<topic>.publisher.*`` change an output's QoS."""
    return QoSOverridingOptions.with_default_policies()


def unserved(node: Node, publisher: Publisher) -> list[str]:
    """Nodes that ask of a publisher what it does not offer, and so do not hear it."""
    return sorted({_named(info) for info in
                   node.get_subscriptions_info_by_topic(publisher.topic_name)
                   if not _fit(publisher.qos_profile, info.qos_profile)})


def _fit(offered: QoSProfile, asked: QoSProfile) -> bool:
    # Not rclpy's qos_check_compatible: it takes the endless deadlines that the graph reports for
    # demands.
    return not (offered.reliability == ReliabilityPolicy.BEST_EFFORT
                and asked.reliability == ReliabilityPolicy.RELIABLE
                or offered.durability == DurabilityPolicy.VOLATILE
                and asked.durability == DurabilityPolicy.TRANSIENT_LOCAL)


def _named(info: TopicEndpointInfo) -> str:
    return f'{info.node_namespace.rstrip("/")}/{info.node_name}'


class AdaptiveSubscription:
    """A subscription that hears every publisher of its topic.

    It asks for reliable delivery when every publisher offers it and for best effort otherwise,
    and subscribes anew when that changes (``adapt``, to be called about twice a second). The
    parameter ``qos_overrides.<topic>.subscription.reliability`` fixes it instead.

    :raises FatalError: that parameter has another value than adapt, reliable or best_effort.
    """

    def __init__(self, node: Node, message_type: type, topic: str,
                 callback: Callable[[Any], None]) -> None:
        self.topic = node.resolve_topic_name(topic)
        self._node = node
        self._type = message_type
        self._callback = callback
        self._subscription: Subscription | None = None
        name = f'qos_overrides.{self.topic}.subscription.reliability'
        if not node.has_parameter(name):
            node.declare_parameter(name, _ADAPT, ParameterDescriptor(
                description=f'Reliability asked of the publishers of {self.topic}.',
                additional_constraints=f'one of: {", ".join((_ADAPT, *_FIXED))}',
                read_only=True))
        self._policy = node.get_parameter(name).value
        if self._policy != _ADAPT and self._policy not in _FIXED:
            raise FatalError(f'parameter {name} is "{self._policy}", it must be one of '
                             f'{", ".join((_ADAPT, *_FIXED))}')

    @property
    def reliability(self) -> ReliabilityPolicy | None:
        """What the subscription asks for now; None while it is closed."""
        return self._subscription and self._subscription.qos_profile.reliability

    @property
    def open(self) -> bool:
        """True while it listens."""
        return self._subscription is not None

    def publishers(self) -> list[str]:
        """Full names of the nodes that publish the topic, one per publisher."""
        return sorted(map(_named, self._node.get_publishers_info_by_topic(self.topic)))

    def mismatch(self) -> str:
        """Which publishers it cannot hear, and why; empty if it hears all."""
        profile = self._subscription and self._subscription.qos_profile
        found = profile and [_named(info) for info in
                             self._node.get_publishers_info_by_topic(self.topic)
                             if not _fit(info.qos_profile, profile)]
        return found and (
            f'{self.topic} is not heard from {", ".join(found)}: asked for is '
            f'{profile.reliability.name}, by parameter') or ''

    def adapt(self) -> None:
        """Open the subscription if it is closed and follow what the publishers offer."""
        wanted = self._wanted_reliability()
        if self.reliability != wanted:
            self.close()
            self._subscription = self._node.create_subscription(
                self._type, self.topic, self._callback,
                QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=wanted),
                # ``mismatch`` asks the graph; each event would cost time with every message.
                event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False))

    def close(self) -> None:
        """Stop listening; ``adapt`` starts again."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def _wanted_reliability(self) -> ReliabilityPolicy:
        if self._policy in _FIXED:
            return _FIXED[self._policy]
        offers = [info.qos_profile.reliability
                  for info in self._node.get_publishers_info_by_topic(self.topic)]
        # Nobody there yet: best effort hears whoever comes first.
        reliable = bool(offers) and all(o == ReliabilityPolicy.RELIABLE for o in offers)
        return ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT

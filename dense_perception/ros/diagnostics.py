"""The node's state on /diagnostics, once a second."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from dense_perception.ros.conditions import Conditions, Level

PERIOD_S = 1.0


class Diagnostics:
    """Publishes one DiagnosticStatus made of the conditions and of the values of ``describe``.

    :param describe: called for every message: the sentence of a node without problems, and
        key -> value; the value of ``model`` is the status's hardware_id too.
    """

    def __init__(self, node: Node, conditions: Conditions,
                 describe: Callable[[], tuple[str, Mapping[str, str]]]) -> None:
        self._node = node
        self._conditions = conditions
        self._describe = describe
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        # A steady clock: a paused simulation must not silence the diagnostics.
        self._timer = node.create_timer(PERIOD_S, self.publish,
                                        clock=Clock(clock_type=ClockType.STEADY_TIME))

    def publish(self) -> None:
        """Publish the state now."""
        fine, values = self._describe()
        problems = self._conditions.report()
        status = DiagnosticStatus(
            level=bytes([max((level for level, _ in problems), default=Level.OK)]),
            name=f'{self._node.get_fully_qualified_name().lstrip("/")}: state',
            message='; '.join(sentence for _, sentence in problems) or fine,
            hardware_id=values.get('model', ''),
            values=[KeyValue(key=key, value=value) for key, value in values.items()])
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)


def logger_of(node: Node) -> Callable[[Level, str], None]:
    """Logger of sentences by their level, under the node's name."""
    logger = node.get_logger()

    def log(level: Level, sentence: str) -> None:
        if not node.context.ok():
            return  # stopping: the log's own topic is gone, and says so on every line
        # Two call sites, because rclpy remembers the severity of each.
        if level == Level.ERROR:
            logger.error(sentence)
        else:
            logger.warning(sentence)
    return log

"""An action whose goals take minutes, and leave the executor to others meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node

from dense_perception.ros.background import in_background

T = TypeVar('T')


class BackgroundAction(ActionServer):
    """Each goal is worked on in a thread of its own, every request to cancel is granted.

    An ``execute_callback`` of rclpy would either hold the executor or, as a coroutine, be resumed
    by it again and again without a pause.

    :param work: called in the goal's thread; may publish feedback and ask whether it is cancelled.
    :param conclude: called in the executor's thread with the goal and the future of ``work``; ends
        the goal (succeed, abort, canceled) and returns its result.
    """

    def __init__(self, node: Node, kind: type, name: str,
                 work: Callable[[ServerGoalHandle], T],
                 conclude: Callable[[ServerGoalHandle, Future[T]], Any]) -> None:
        self._work, self._conclude = work, conclude
        self._context = node.context
        self._running: set[Future[Any]] = set()
        self._closed = False
        super().__init__(node, kind, name, lambda goal: None,
                         callback_group=MutuallyExclusiveCallbackGroup(),
                         cancel_callback=lambda goal: CancelResponse.ACCEPT)

    def notify_execute(self, goal_handle: ServerGoalHandle, execute_callback: Any) -> None:
        """Start the work; what remains for the executor is its end."""
        future = in_background(lambda: self._work(goal_handle))
        self._running.add(future)

        def ended(future: Future[T]) -> None:
            self._running.discard(future)
            if self._context.ok() and not self._closed:
                ActionServer.notify_execute(
                    self, goal_handle, lambda goal: self._conclude(goal, future))
        future.add_done_callback(ended)

    def close(self, patience_s: float) -> None:
        """Wait for work that is about to end, but no longer than this."""
        self._closed = True
        wait(tuple(self._running), timeout=patience_s)

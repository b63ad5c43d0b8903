"""A lifecycle node whose transitions fail with a sentence, and which survives wrong requests."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, Protocol

from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from dense_perception.ros.executable import FatalError


class Managed(Protocol):
    """What the transitions of a node do; each is called in the executor's thread."""

    def configure(self) -> None:
        """Get ready, without publishing; FatalError says why that is impossible."""

    def activate(self) -> None:
        """Begin to work."""

    def deactivate(self) -> None:
        """Stop to work; nothing is published afterwards."""

    def cleanup(self) -> None:
        """Give back everything that ``configure`` took, as far as it got."""


class ManagedNode(LifecycleNode):
    """A node with the life cycle of ROS 2's managed nodes.

    A ``configure`` that fails leaves it unconfigured, the reason in ``failure``.

    :param failed: called with the reason when configuring failed, to say it, and with '' when it
        worked; not from within ``start``.
    :param options: of rclpy's Node.
    """

    def __init__(self, name: str, managed: Managed, failed: Callable[[str], None],
                 **options: Any) -> None:
        super().__init__(name, **options)
        self._managed = managed
        self._failed = failed
        self._quiet = False
        self.failure = ''
        """Why the last transition failed; empty if it did not."""
        # rclpy lets the exception of a transition that is impossible now out of the executor.
        answer = self._service_change_state.callback
        self._service_change_state.callback = lambda request, response: self._answer(
            answer, request, response)

    @property
    def state(self) -> str:
        """Label of the state: unconfigured, inactive, active, finalized, or a transition's."""
        return str(self._state_machine.current_state[1])

    def start(self) -> None:
        """Configure and activate.

        :raises FatalError: configuring failed; it is left to the caller to say so.
        """
        self._quiet = True
        self.trigger_configure()
        self._quiet = False
        if self.state != 'inactive':
            raise FatalError(self.failure)
        self.trigger_activate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Configure, or stay unconfigured."""
        self.failure = ''
        result = self._do(self._managed.configure)
        if result == TransitionCallbackReturn.FAILURE:
            self._managed.cleanup()
        if not self._quiet:
            self._failed(self.failure)
        return result

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to work."""
        return self._do(self._managed.activate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop to work."""
        return self._do(self._managed.deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give everything back."""
        return self._do(self._managed.cleanup)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and give everything back, from any state."""
        return self._do(self._managed.deactivate, self._managed.cleanup)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to unconfigured after a transition that broke."""
        return self._do(self._managed.deactivate, self._managed.cleanup)

    def _do(self, *steps: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            for step in steps:
                step()
        except FatalError as error:
            self.failure = str(error)
            return TransitionCallbackReturn.FAILURE
        except Exception as error:  # rclpy would swallow it
            self.failure = f'unexpected {error!r}'
            if self.context.ok():
                self.get_logger().error(traceback.format_exc())
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS

    def _answer(self, change: Callable[[Any, Any], Any], request: ChangeState.Request,
                response: ChangeState.Response) -> ChangeState.Response:
        try:
            return change(request, response)
        except Exception as error:  # RCLError, which rclpy does not export
            self.get_logger().warning(f'no such transition from state {self.state}: {error}')
            response.success = False
            return response

"""How every executable of the package starts, spins and stops."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

# rclpy is imported inside of run(): a signal that arrives while it loads must already find ours.
if TYPE_CHECKING:
    from rclpy.node import Node
    from rclpy.task import Future


_LOOK_AROUND_S = 0.5


class FatalError(Exception):
    """The node cannot start or go on; the message is the one sentence that the user gets."""


class Executable(Protocol):
    """What ``run`` needs of a node."""

    nodes: Sequence[Node]
    finished: Future
    """Result None ends the process with exit code 0, an exception (FatalError) with 1."""

    def close(self) -> None:
        """Stop every thread; nothing is published afterwards."""


class _StopSignals:
    """SIGINT and SIGTERM end the process with exit code 0, whenever they come."""

    def __init__(self) -> None:
        self.received = False
        self._ros_is_up = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: object) -> None:
        self.received = True
        if not self._ros_is_up:
            # An exception raised here would surface in the middle of some import; there is
            # nothing to clean up yet.
            os._exit(0)

    def leave_to_ros(self) -> None:
        """From here on rclpy's own handlers, installed by ``rclpy.init``, end the spinning."""
        self._ros_is_up = True

    def ignore(self) -> None:
        """From here on nothing is left to stop: a second Ctrl-C must not spoil the exit code."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def run(build: Callable[[], Executable], argv: Sequence[str] | None = None) -> int:
    """Run one node until it has finished or a signal ends it.

    :param build: imports and constructs the node; FatalError is its way to say that it cannot.
    :param argv: command line including the program's name; default ``sys.argv``.
    :returns: exit code: 0 after a requested stop or a finished node, 1 after a FatalError,
        2 for a command line that ROS does not understand.
    """
    signals = _StopSignals()
    from dense_perception.ros import dds
    dds.use_shipped_profile()
    import rclpy
    from rclpy.logging import get_logger
    try:
        rclpy.init(args=list(sys.argv if argv is None else argv))
    except Exception as error:
        print(f'the ROS arguments are not understood: {error}', file=sys.stderr)
        return 2
    signals.leave_to_ros()
    try:
        return _spin(build)
    except FatalError as error:
        if signals.received:
            return 0
        get_logger('dense_perception').fatal(str(error))
        return 1
    except Exception:
        if signals.received:
            return 0  # the context went away under whatever was being built or published
        raise
    finally:
        rclpy.try_shutdown()
        signals.ignore()


def _spin(build: Callable[[], Executable]) -> int:
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

    executable = build()
    executor = SingleThreadedExecutor()
    for node in executable.nodes:
        executor.add_node(node)
    executable.finished.add_done_callback(lambda _: executor.wake())
    try:
        # With a timeout, because rclpy wakes a waiting executor before it shuts the context down:
        # an executor that waits again in between would sleep through the signal.
        while executable.nodes[0].context.ok() and not executable.finished.done():
            executor.spin_once(timeout_sec=_LOOK_AROUND_S)
    except ExternalShutdownException:
        pass
    finally:
        executable.close()
        executor.shutdown()
        for node in executable.nodes:
            node.destroy_node()
    if executable.finished.done():
        executable.finished.result()
    return 0

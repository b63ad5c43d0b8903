"""How every executable of the package starts, spins and stops."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

# rclpy is imported inside of run(): a signal that arrives while it loads must already find ours.
if TYPE_CHECKING:
    from rclpy.executors import Executor
    from rclpy.node import Node
    from rclpy.task import Future


_LOOK_AROUND_S = 0.5
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
    """SIGINT and SIGTERM end the process with exit code 0, whenever they come.

    rclpy's own handlers are left out: they shut the context down from a thread of their own, and
    whatever this one was making in it fails, with an exception at best and in Fast DDS at worst.
    """

    def __init__(self) -> None:
        self.received = False
        self._ros_is_up = False
        for number in _STOP_SIGNALS:
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: object) -> None:
        self.received = True
        if not self._ros_is_up:
            # An exception raised here would surface in the middle of some import; there is
            # nothing to clean up yet.
            os._exit(0)

    def leave_to_spinning(self) -> None:
        """From here on a signal ends the spinning, at once or when it begins."""
        self._ros_is_up = True

    def ignore(self) -> None:
        """From here on nothing is left to stop: a second Ctrl-C must not spoil the exit code."""
        for number in _STOP_SIGNALS:
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
    from rclpy.signals import SignalHandlerOptions
    try:
        rclpy.init(args=list(sys.argv if argv is None else argv),
                   signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:
        print(f'the ROS arguments are not understood: {error}', file=sys.stderr)
        return 2
    signals.leave_to_spinning()
    try:
        return _spin(build, lambda: signals.received)
    except FatalError as error:
        if signals.received:
            return 0
        get_logger('dense_perception').fatal(str(error))
        return 1
    finally:
        rclpy.try_shutdown()
        signals.ignore()


def _spin(build: Callable[[], Executable], stopped: Callable[[], bool]) -> int:
    executable = build()
    spinners = _Spinners(executable, stopped)
    try:
        spinners.spin()
    finally:
        spinners.stop()
        executable.close()
        for node in executable.nodes:
            node.destroy_node()
    if executable.finished.done():
        executable.finished.result()
    return 0


class _Spinners:
    """An executor and a thread for each node, the calling thread for the first.

    For every message rclpy looks at all that its executor has, so nodes that share one would pay
    for each other.
    """

    def __init__(self, executable: Executable, stopped: Callable[[], bool]) -> None:
        from rclpy.executors import SingleThreadedExecutor
        self._context = executable.nodes[0].context
        self._signalled = stopped
        self._finished = executable.finished
        self._stopped = threading.Event()
        self._executors = [SingleThreadedExecutor() for _ in executable.nodes]
        for executor, node in zip(self._executors, executable.nodes, strict=True):
            executor.add_node(node)
        self._finished.add_done_callback(lambda _: self._wake())
        self._threads = [threading.Thread(target=self._spin_beside, args=(executor,), daemon=True)
                         for executor in self._executors[1:]]

    def spin(self) -> None:
        """Call callbacks until the node has finished, a signal came or the context is down."""
        for thread in self._threads:
            thread.start()
        self._spin(self._executors[0])

    def stop(self) -> None:
        """Call no callbacks any more."""
        self._stopped.set()
        self._wake()
        for thread in self._threads:
            if thread.ident:
                thread.join()
        for executor in self._executors:
            executor.shutdown()

    def _wake(self) -> None:
        for executor in self._executors:
            executor.wake()

    def _spin(self, executor: Executor) -> None:
        from rclpy.executors import ExternalShutdownException
        try:
            # With a timeout: Python handles a signal when the wait is over.
            while not (self._stopped.is_set() or self._signalled() or self._finished.done()) \
                    and self._context.ok():
                executor.spin_once(timeout_sec=_LOOK_AROUND_S)
        except ExternalShutdownException:
            pass

    def _spin_beside(self, executor: Executor) -> None:
        try:
            self._spin(executor)
        except Exception as error:
            # In a context that is shut down any call may fail, and nobody is interested.
            if self._context.ok() and not self._finished.done():
                self._finished.set_exception(error)

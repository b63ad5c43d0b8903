"""How every executable of the package starts, spins and stops."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
    """SIGINT and SIGTERM end the process with exit code 0, whenever they come."""

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

    def leave_to_ros(self) -> None:
        """From here on rclpy's own handlers, installed by ``rclpy.init``, end the spinning."""
        self._ros_is_up = True

    def ignore(self) -> None:
        """From here on nothing is left to stop: a second Ctrl-C must not spoil the exit code."""
        for number in _STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def _stop_signals_held_back() -> Iterator[None]:
    """Stop signals that come meanwhile arrive afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
        # A signal that came while rclpy puts its handlers in place would reach neither ours nor
        # a context that is up: it would be lost.
        with _stop_signals_held_back():
            rclpy.init(args=list(sys.argv if argv is None else argv))
    except Exception as error:
        print(f'the ROS arguments are not understood: {error}', file=sys.stderr)
        return 2
    signals.leave_to_ros()

    def stopped() -> bool:
        # rclpy shuts the context down from a thread of its own, maybe before Python calls ours.
        return signals.received or not rclpy.ok()

    try:
        return _spin(build)
    except FatalError as error:
        if stopped():
            return 0
        get_logger('dense_perception').fatal(str(error))
        return 1
    except Exception:
        if stopped():
            return 0  # the context went away under whatever was being built or published
        raise
    finally:
        rclpy.try_shutdown()
        signals.ignore()


def _spin(build: Callable[[], Executable]) -> int:
    executable = build()
    spinners = _Spinners(executable)
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

    def __init__(self, executable: Executable) -> None:
        from rclpy.executors import SingleThreadedExecutor
        self._context = executable.nodes[0].context
        self._finished = executable.finished
        self._stopped = threading.Event()
        self._executors = [SingleThreadedExecutor() for _ in executable.nodes]
        for executor, node in zip(self._executors, executable.nodes, strict=True):
            executor.add_node(node)
        self._finished.add_done_callback(lambda _: self._wake())
        self._threads = [threading.Thread(target=self._spin_beside, args=(executor,), daemon=True)
                         for executor in self._executors[1:]]

    def spin(self) -> None:
        """Call callbacks until the node has finished or the context is shut down."""
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
            # With a timeout, because rclpy wakes a waiting executor before it shuts the context
            # down: an executor that waits again in between would sleep through the signal.
            while not (self._stopped.is_set() or self._finished.done()) and self._context.ok():
                executor.spin_once(timeout_sec=_LOOK_AROUND_S)
        except ExternalShutdownException:
            pass

    def _spin_beside(self, executor: Executor) -> None:
        try:
            self._spin(executor)
        except Exception as error:
            # After a stop signal any call may fail, and nobody is interested.
            if self._context.ok() and not self._finished.done():
                self._finished.set_exception(error)

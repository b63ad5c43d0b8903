"""Ctrl-C and SIGTERM as KeyboardInterrupt, also out of rclpy's hands."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

_received = 0


def install() -> None:
    """From here on SIGINT and SIGTERM raise KeyboardInterrupt, but where they are ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _raise)


@contextlib.contextmanager
def unmasked() -> Iterator[None]:
    """What rclpy has made of a signal in here leaves as the KeyboardInterrupt it was.

    If the interrupt is raised while rclpy converts a message, what comes out of rclpy is a
    RuntimeError about some argument, which says nothing of its cause (or, where C calls Python, a
    SystemError). Other errors have sentences of their own: a build that was cancelled, for one.

    :raises KeyboardInterrupt: a signal came and then such an error did.
    """
    before = _received
    try:
        yield
    except (RuntimeError, SystemError):
        if _received > before:
            raise KeyboardInterrupt from None
        raise


def _raise(number: int, frame: object) -> None:
    global _received
    _received += 1
    raise KeyboardInterrupt

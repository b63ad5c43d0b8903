"""Ctrl-C and SIGTERM as KeyboardInterrupt, also out of rclpy's hands."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial

_AGAIN_S = 0.05
_received = 0


def install() -> None:
    """From here on SIGINT and SIGTERM raise KeyboardInterrupt, but where they are ignored.

    One that Python drops, because it comes within a destructor or a callback of a weak reference
    (an import has some), comes again a moment later.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _raise)
    if getattr(sys.unraisablehook, 'func', None) is not _on_dropped:
        sys.unraisablehook = partial(_on_dropped, sys.unraisablehook)


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


def _on_dropped(others: Callable[[sys.UnraisableHookArgs], object],
                dropped: sys.UnraisableHookArgs) -> None:
    if dropped.exc_type is KeyboardInterrupt:
        again = threading.Timer(_AGAIN_S, os.kill, (os.getpid(), signal.SIGTERM))
        again.daemon = True
        again.start()
    else:
        others(dropped)

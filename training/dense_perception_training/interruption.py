"""Ctrl-C and SIGTERM while a run is on: the step is finished first, so that nothing is half."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType

_ECHO_S = 2.0  # torchrun passes on what its processes have received already


class StopSignals:
    """Whether SIGINT or SIGTERM came since it was entered; one some time later stops at once.

    In another thread than the main one, which gets no signals, nothing is changed.
    """

    def __init__(self) -> None:
        self._first: float | None = None

    @property
    def received(self) -> bool:
        """Whether one has come."""
        return self._first is not None

    def __enter__(self) -> StopSignals:
        main = threading.current_thread() is threading.main_thread()
        self._before = {number: signal.signal(number, self._handle)
                        for number in (signal.SIGINT, signal.SIGTERM) if main}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = now
        elif now - self._first > _ECHO_S:
            raise KeyboardInterrupt

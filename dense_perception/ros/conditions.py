"""What is wrong right now: said once in the log, and in every diagnostics message."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from enum import IntEnum

SAY_AGAIN_AFTER_S = 10.0


class Level(IntEnum):
    """Levels of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2


class Conditions:
    """Named conditions, each with a level and one sentence; safe to use from any thread.

    A sentence goes to the log when a condition is raised or its sentence changes, and the same
    one again only after ``SAY_AGAIN_AFTER_S``, however often it comes and goes in between.
    A condition that was raised since the last report is in that report, even if it is over.

    :param log: called with level and sentence.
    """

    def __init__(self, log: Callable[[Level, str], None]) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._active: dict[str, tuple[Level, str]] = {}
        self._recent: dict[str, tuple[Level, str]] = {}
        self._said: dict[str, float] = {}

    def raise_(self, name: str, level: Level, sentence: str) -> None:
        """Set a condition, replacing what was set under the same name."""
        with self._lock:
            self._recent[name] = level, sentence
            unchanged = self._active.get(name) == (level, sentence)
            self._active[name] = level, sentence
            now = time.monotonic()
            self._said = {s: t for s, t in self._said.items() if now - t < SAY_AGAIN_AFTER_S}
            if unchanged or sentence in self._said:
                return
            self._said[sentence] = now
        self._log(level, sentence)

    def clear(self, name: str) -> None:
        """End a condition; nothing happens if it is not set."""
        with self._lock:
            self._active.pop(name, None)

    def clear_all(self) -> None:
        """End all conditions."""
        with self._lock:
            self._active.clear()

    def report(self) -> list[tuple[Level, str]]:
        """Conditions set now or since the last report, the worst first."""
        with self._lock:
            found = {**self._recent, **self._active}
            self._recent.clear()
        return sorted(found.values(), key=lambda item: -item[0])

"""The one thread that does a process's work: the newest frame of each camera in turn, and jobs."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from dense_perception.ros.background import deferred
from dense_perception.ros.mailbox import Mailbox

T = TypeVar('T')


class Worker:
    """Works off mailboxes fairly: after a camera had its turn every other one that waits has one.

    However many cameras share it, one inference runs at a time, and each camera's newest frame
    is at most one turn of all cameras old. Jobs come between two frames.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._streams: list[tuple[Mailbox[Any], Callable[[Any], None]]] = []
        self._next = 0
        self._jobs: deque[Callable[[], None]] = deque()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name='frames', daemon=True)

    def join(self, handle: Callable[[T], None]) -> Mailbox[T]:
        """A mailbox whose items are handed to ``handle`` in the worker's thread.

        An exception from ``handle`` ends the worker: who joins has to catch what may be caught.
        """
        mailbox: Mailbox[T] = Mailbox(self._changed)
        with self._changed:
            self._streams.append((mailbox, handle))
            if not self._thread.ident:
                self._thread.start()
        return mailbox

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """Run a job in the worker's thread; its exception is the future's."""
        future, run = deferred(job)
        with self._changed:
            self._jobs.append(run)
            self._changed.notify()
        return future

    def close(self) -> None:
        """End after the frame or job in work; what waits is left undone."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread.ident and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while (work := self._wait()) is not None:
            work()

    def _wait(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._closed:
                if self._jobs:
                    return self._jobs.popleft()
                for i in range(len(self._streams)):
                    turn = (self._next + i) % len(self._streams)
                    mailbox, handle = self._streams[turn]
                    if (item := mailbox.poll()) is not None:
                        self._next = turn + 1
                        return lambda: handle(item)
                self._changed.wait()
        return None

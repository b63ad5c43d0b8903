"""What does a process's work: the newest frame of each camera in turn, and jobs."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from dense_perception.inference.backends import Backend
from dense_perception.inference.batches import Frame, infer_together
from dense_perception.ros.background import deferred
from dense_perception.ros.mailbox import Mailbox

T = TypeVar('T')


@dataclass(frozen=True)
class _Stream:
    mailbox: Mailbox[Any]
    handle: Callable[[Any], Frame[None] | None]
    engine: Callable[[], Backend | None]


class Worker:
    """Works off mailboxes fairly: after a camera had its turn every other one that waits has one.

    However many cameras share it, one inference runs at a time, and each camera's newest frame
    is at most one turn of all cameras old. What is done with a frame after its inference is left
    to a second thread, while the first one goes on to the next inference: it takes milliseconds
    in which a GPU, or a core, would have nothing to do. That thread is at most one frame behind,
    and keeps the order. Jobs come between two frames, when nothing else is in work.

    Where the engine of the camera whose turn it is takes several images at once, those that wait
    at that moment with the same engine go with it; nobody is waited for.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._streams: list[_Stream] = []
        self._next = 0
        self._jobs: deque[Callable[[], None]] = deque()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name='frames', daemon=True)
        self._finisher = ThreadPoolExecutor(1, 'finish')
        self._finishing: Future[Any] | None = None

    def join(self, handle: Callable[[T], Frame[None] | None],
             engine: Callable[[], Backend | None] = lambda: None) -> Mailbox[T]:
        """A mailbox whose items are handed to ``handle`` in the worker's thread.

        An exception from ``handle`` ends the worker: who joins has to catch what may be caught.

        :param handle: does the work, or returns a frame that does it, for a batch.
        :param engine: what the frame is going to ask; None = what it will not share.
        """
        mailbox: Mailbox[T] = Mailbox(self._changed)
        with self._changed:
            self._streams.append(_Stream(mailbox, handle, engine))
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
        """End after the frames or the job in work; what waits is left undone."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread.ident and self._thread is not threading.current_thread():
            self._thread.join()
            self._finisher.shutdown()

    def _run(self) -> None:
        while (work := self._wait()) is not None:
            work()

    def _do(self, job: Callable[[], None]) -> None:
        self._settle()
        job()

    def _infer(self, taken: list[tuple[_Stream, Any]]) -> None:
        frames = [frame for stream, item in taken if (frame := stream.handle(item)) is not None]
        if frames:
            finish = infer_together(frames)
            self._settle()
            self._finishing = self._finisher.submit(finish)

    def _settle(self) -> None:
        """Wait until the frames before are finished."""
        if self._finishing is not None:
            self._finishing.result()

    def _wait(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._closed:
                if self._jobs:
                    return partial(self._do, self._jobs.popleft())
                if taken := self._take():
                    return partial(self._infer, taken)
                self._changed.wait()
        return None

    def _take(self) -> list[tuple[_Stream, Any]]:
        """The newest items of the stream whose turn it is, and of those that go with it."""
        taken: list[tuple[_Stream, Any]] = []
        first, in_row = self._next, True
        engine, most = None, 1
        for i in range(len(self._streams)):
            turn = (first + i) % len(self._streams)
            stream = self._streams[turn]
            if taken and stream.engine() is not engine:
                in_row = False  # the next turn is this one's
            elif (item := stream.mailbox.poll()) is not None:
                if not taken:
                    engine = stream.engine()
                    most = engine.max_batch if engine is not None else 1
                taken.append((stream, item))
                if in_row:
                    self._next = turn + 1
                if len(taken) == most:
                    break
        return taken

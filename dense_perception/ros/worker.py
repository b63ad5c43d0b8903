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
from dense_perception.inference.batches import Batch, Frame
from dense_perception.ros.background import deferred
from dense_perception.ros.mailbox import Mailbox

T = TypeVar('T')

MOST_INFERENCES = 64
"""At the same time, whatever an engine would take."""


@dataclass(frozen=True)
class _Stream:
    mailbox: Mailbox[Any]
    handle: Callable[[Any], Frame[None] | None]
    engine: Callable[[], Backend | None]


class Worker:
    """Works off mailboxes fairly: after a camera had its turn every other one that waits has one.

    One thread begins frames: as many as their engine takes at the same time, which is one or, on
    a CPU, a few. Their inferences run in threads of their own, which then finish them one after
    another, in the order in which they were begun. While a frame is finished its place is free
    for the next inference: finishing takes milliseconds in which a GPU, or a core, would have
    nothing to do. Jobs come between two frames, when nothing else is in work.

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
        self._inferences = 0
        # It makes threads as they are needed: one for each inference, and one that finishes.
        self._pool = ThreadPoolExecutor(MOST_INFERENCES + 1, 'inference')
        self._last: Future[None] = Future()
        self._last.set_result(None)

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
            self._pool.shutdown()

    def _run(self) -> None:
        while (work := self._wait()) is not None:
            work()

    def _do(self, job: Callable[[], None]) -> None:
        self._last.result()  # every frame before is finished
        job()

    def _begin(self, taken: list[tuple[_Stream, Any]]) -> None:
        if self._last.done():
            self._last.result()  # what was not caught ends the worker
        frames = [frame for stream, item in taken if (frame := stream.handle(item)) is not None]
        if frames:
            batch = Batch(frames)
            with self._changed:
                self._inferences += 1
            self._last = self._pool.submit(self._complete, batch, self._last)

    def _complete(self, batch: Batch[None], before: Future[None]) -> None:
        try:
            batch.infer()
            before.result()
        finally:
            with self._changed:
                self._inferences -= 1
                self._changed.notify_all()
        batch.finish()

    def _wait(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._closed:
                if self._jobs:
                    return partial(self._do, self._jobs.popleft())
                if taken := self._take():
                    return partial(self._begin, taken)
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
            if stream.mailbox.empty:
                continue
            if not taken:
                engine = stream.engine()
                if self._inferences >= (engine.concurrency if engine is not None else 1):
                    break  # it stays its turn
                most = engine.max_batch if engine is not None else 1
            elif stream.engine() is not engine:
                in_row = False  # the next turn is this one's
                continue
            taken.append((stream, stream.mailbox.poll()))
            if in_row:
                self._next = turn + 1
            if len(taken) == most:
                break
        return taken

"""Work beside the executor: what a service callback may wait for without stopping the node."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar('T')

_LOOK_AGAIN_S = 0.002


def deferred(job: Callable[[], T]) -> tuple[Future[T], Callable[[], None]]:
    """A job's future, and what runs the job; its exception is the future's."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(job())
        except Exception as error:
            future.set_exception(error)

    return future, run


def in_background(job: Callable[[], T]) -> Future[T]:
    """Start a job in a thread of its own, which does not keep the process alive."""
    future, run = deferred(job)
    threading.Thread(target=run, name='background', daemon=True).start()
    return future


async def result_of(future: Future[T]) -> T:
    """Wait for a future within a coroutine of rclpy's executor.

    The executor resumes a waiting coroutine again and again without a pause, so each look takes
    two milliseconds: by as much other callbacks may be late, and the processor stays free.
    """
    while not wait((future,), timeout=_LOOK_AGAIN_S).done:
        await _Pause()
    return future.result()


class _Pause:
    def __await__(self) -> Generator[None, None, None]:
        yield

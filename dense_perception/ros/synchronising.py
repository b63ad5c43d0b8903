"""Messages that belong together by their stamps: message_filters where it is installed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

Input = Callable[[Any], None]


def synchronised(inputs: int, queue_size: int, slop: float,
                 callback: Callable[..., None]) -> list[Input]:
    """One function per input, to be called with its messages; sets of one each go to ``callback``.

    :param queue_size: messages of each input that wait for the others.
    :param slop: seconds by which the stamps of a set may differ; 0 = not at all.
    """
    try:
        from message_filters import (
            ApproximateTimeSynchronizer,
            SimpleFilter,
            TimeSynchronizer,
        )
    except ImportError:
        stand_in = Synchroniser(inputs, queue_size, slop, callback)
        return [lambda message, i=i: stand_in.add(i, message) for i in range(inputs)]
    filters = [SimpleFilter() for _ in range(inputs)]
    synchroniser = (ApproximateTimeSynchronizer(filters, queue_size, slop) if slop
                    else TimeSynchronizer(filters, queue_size))
    synchroniser.registerCallback(callback)
    return [filter_.signalMessage for filter_ in filters]


class Synchroniser:
    """Stand-in for TimeSynchronizer and ApproximateTimeSynchronizer of message_filters.

    A message that comes looks for the nearest of each other input within ``slop``; a set that is
    complete goes out and is taken from the queues, a message that finds none waits. Of a full
    queue the earliest goes.
    """

    def __init__(self, inputs: int, queue_size: int, slop: float,
                 callback: Callable[..., None]) -> None:
        self._queues: list[dict[int, Any]] = [{} for _ in range(inputs)]
        self._size = queue_size
        self._slop_ns = round(slop * 1e9)
        self._callback = callback

    def add(self, index: int, message: Any) -> None:
        """Take in a message of one input."""
        stamp = message.header.stamp.sec * 10 ** 9 + message.header.stamp.nanosec
        queue = self._queues[index]
        queue[stamp] = message
        while len(queue) > self._size:
            del queue[min(queue)]
        found = self._set_with(index, stamp)
        if found is not None:
            self._callback(*(queue.pop(s) for queue, s in zip(self._queues, found)))

    def _set_with(self, index: int, stamp: int) -> tuple[int, ...] | None:
        """Stamps of a set, one per input; the nearest that lie within the slop of each other."""
        near = [[stamp] if i == index else sorted(
            (s for s in queue if abs(s - stamp) <= self._slop_ns), key=lambda s: abs(s - stamp))
            for i, queue in enumerate(self._queues)]
        return next((stamps for stamps in itertools.product(*near)
                     if max(stamps) - min(stamps) <= self._slop_ns), None)

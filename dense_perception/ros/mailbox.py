"""The newest-frame mailbox between a subscription and the worker thread."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar('T')


class Mailbox(Generic[T]):
    """Holds one item: putting another replaces it, and each replacement is counted.

    This is what keeps the age of outputs bounded when frames come faster than they are worked
    off: the worker always gets the newest.

    :param changed: notified of each ``put``; mailboxes may share one.
    """

    def __init__(self, changed: threading.Condition | None = None) -> None:
        self._changed = changed or threading.Condition()
        self._item: T | None = None
        self._replaced = 0

    @property
    def replaced(self) -> int:
        """Number of items that were replaced or thrown away before anybody took them."""
        with self._changed:
            return self._replaced

    @property
    def empty(self) -> bool:
        """Whether nothing waits, at this moment."""
        with self._changed:
            return self._item is None

    def put(self, item: T) -> None:
        """Leave an item; a waiting ``take`` gets it at once."""
        with self._changed:
            self._replaced += self._item is not None
            self._item = item
            self._changed.notify()

    def take(self, timeout: float | None = None) -> T | None:
        """Take the newest item, waiting up to ``timeout`` seconds (None: for ever).

        :returns: None if nothing came in time.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None, timeout)
            return self.poll()

    def poll(self) -> T | None:
        """Take the newest item if there is one.

        Unlike ``take(timeout=0)``, which lets go of the lock for a moment, this is one step with
        what its caller does under the condition: no notification falls between the two.
        """
        with self._changed:
            item, self._item = self._item, None
            return item

    def clear(self) -> None:
        """Throw away what waits, counted as replaced."""
        with self._changed:
            self._replaced += self._item is not None
            self._item = None

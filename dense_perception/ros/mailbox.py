"""The newest-frame mailbox between a subscription and the worker thread."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar('T')


class Mailbox(Generic[T]):
    """Holds one item: putting another replaces it, and each replacement is counted.

    This is what keeps the age of outputs bounded when frames come faster than they are worked
    off: the worker always gets the newest.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: T | None = None
        self._replaced = 0
        self._closed = False

    @property
    def replaced(self) -> int:
        """Number of items that were replaced before anybody took them."""
        with self._changed:
            return self._replaced

    def put(self, item: T) -> None:
        """Leave an item; a waiting ``take`` gets it at once. After ``close`` it is discarded."""
        with self._changed:
            if self._closed:
                return
            self._replaced += self._item is not None
            self._item = item
            self._changed.notify()

    def take(self, timeout: float | None = None) -> T | None:
        """Take the newest item, waiting up to ``timeout`` seconds (None: for ever).

        :returns: None if nothing came in time or the mailbox is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed, timeout)
            item, self._item = self._item, None
            return None if self._closed else item

    def close(self) -> None:
        """Wake the waiting ``take`` and let every later one return at once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """True after ``close``."""
        with self._changed:
            return self._closed

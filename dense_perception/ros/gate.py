"""Who changes what frames go through has it alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """Lets any number of frames through, or one who wants nobody else inside.

    Who wants to be alone waits for the frames that are inside, and no other comes in before him.
    A frame may leave in another thread than it came in.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frames = 0
        self._claims = 0

    @property
    def claimed(self) -> bool:
        """Whether somebody is, or waits to be, inside alone."""
        return self._claims > 0

    @contextmanager
    def frame(self) -> Iterator[None]:
        """Be inside with other frames."""
        with self._changed:
            self._changed.wait_for(lambda: not self.claimed)
            self._frames += 1
        try:
            yield
        finally:
            with self._changed:
                self._frames -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be inside without anybody else; not to be asked for by a frame that is inside."""
        with self._changed:
            self._claims += 1
            try:
                self._changed.wait_for(lambda: not self._frames)
                yield  # the lock is held: nobody comes in
            finally:
                self._claims -= 1
                self._changed.notify_all()

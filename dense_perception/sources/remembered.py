"""A recording that is decoded once, however often it is played."""

from __future__ import annotations

from collections.abc import Iterator

from dense_perception.sources.base import Frame, Source


class Remembered:
    """A source that keeps its decoded frames in memory, for the rounds after the first.

    Where they take more than ``megabytes`` none are kept, and each round reads the source again;
    of a live source none ever are.

    :param source: whose frames they are.
    """

    def __init__(self, source: Source, megabytes: int) -> None:
        self._source = source
        self._room = 0 if source.live else megabytes << 20
        self._frames: list[Frame] = []

    @property
    def live(self) -> bool:
        """See :class:`Source`."""
        return self._source.live

    def frames(self) -> Iterator[Frame]:
        """See :class:`Source`."""
        if self._frames:
            yield from self._frames
            return
        kept, room = [], self._room
        for frame in self._source.frames():
            room -= _size(frame)
            if room >= 0:
                kept.append(frame)
            elif kept:
                kept.clear()
                self._room = 0  # nor in another round
            yield frame
        if room >= 0:
            self._frames = kept


def _size(frame: Frame) -> int:
    return sum(array.nbytes for array in (frame.image, frame.depth, frame.labels)
               if array is not None)

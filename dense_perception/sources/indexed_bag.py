"""Single frames of a bag, in any order: what training needs."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.highlevel import AnyReader

from dense_perception.sources import bag_images
from dense_perception.sources.bag import SAME_FRAME_NS, Bag
from dense_perception.sources.base import Frame, Lens, SourceError, Warn

_AROUND_NS = 200_000_000
_TRUTH = ('depth', 'labels')


class IndexedBag(Bag):
    """A recording whose frames with truth can be read one by one.

    Opening it goes through the whole bag once without decoding an image. It can be pickled and
    used in several processes; each opens the files for itself.

    :raises SourceError: it cannot be read or has no colour images.
    """

    def __init__(self, path: Path, lens: Lens, warn: Warn) -> None:
        super().__init__(path, lens, warn)
        self._opened: tuple[int, AnyReader] | None = None
        self.times = self._times()
        """When each colour image that has a depth or mask was recorded, in nanoseconds."""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, '_opened': None}

    def frame_at(self, time: int) -> Frame:
        """The frame whose colour image was recorded at ``time``, one of :attr:`times`.

        What belongs to it is looked for shortly before and after; camera_info and mount, if they
        are not there, at the beginning of the bag, where robots record what never changes.

        :raises SourceError: the bag is damaged, or the image cannot be decoded.
        """
        reader = self._reader()
        for recorded, colour, belongings in self._grouped(
                reader, start=time - _AROUND_NS, stop=time + _AROUND_NS):
            if recorded == time:
                try:
                    return self._frame(colour, {**self._constants(reader, belongings),
                                                **belongings})
                except bag_images.DecodeError as error:
                    raise SourceError(f'bag {self._path}, image at {time}: {error}') from None
        raise SourceError(f'bag {self._path} has no image at {time}')

    def _reader(self) -> AnyReader:
        # A forked process must not share the file position of its parent.
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), self._open().__enter__()
        return self._opened[1]

    def _times(self) -> list[int]:
        times, stamps, truth = [], [], [-2 * SAME_FRAME_NS]
        with self._open() as reader:
            used = [c for c in reader.connections
                    if self._kinds.get(c.topic) in ('colour', *_TRUTH)]
            for time, connection, raw in self._raw(reader, used):
                if self._kinds[connection.topic] == 'colour':
                    times.append(time)
                    stamps.append(_stamp_ns(raw))
                else:
                    truth.append(_stamp_ns(raw))
        truths = np.sort(np.array(truth, np.int64))
        after = np.searchsorted(truths, stamps)
        nearest = np.minimum(np.abs(truths[np.minimum(after, len(truths) - 1)] - stamps),
                             np.abs(truths[after - 1] - stamps))
        return [time for time, distance in zip(times, nearest) if distance <= SAME_FRAME_NS]

    def _constants(self, reader: AnyReader, belongings: dict[str, Any]) -> dict[str, Any]:
        """The first camera_info and mount of the bag, as far as ``belongings`` lack them."""
        first = {}
        for connection in reader.connections:
            kind = self._kinds.get(connection.topic)
            if kind in ('info', 'mount') and kind not in belongings:
                for _, message in self._messages(reader, [connection]):
                    first[kind] = message
                    break
        return first


def _stamp_ns(raw: bytes) -> int:
    """The stamp of a serialised message that begins with a header, without the rest of it."""
    seconds, nanoseconds = struct.unpack_from('<iI' if raw[1] & 1 else '>iI', raw, 4)
    return seconds * 1_000_000_000 + nanoseconds

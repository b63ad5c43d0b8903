"""A recording that is decoded once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from dense_perception.geometry.camera import Intrinsics
from dense_perception.sources.base import Frame
from dense_perception.sources.remembered import Remembered


class Recording:
    """Frames of a megabyte each, and how many were decoded."""

    def __init__(self, count: int, live: bool = False) -> None:
        self.count, self.live, self.decoded = count, live, 0

    def frames(self) -> Iterator[Frame]:
        for number in range(self.count):
            self.decoded += 1
            yield Frame(np.full((512, 512, 3), number, np.uint8),
                        Intrinsics(500, 500, 255, 255, 512, 512),
                        labels=np.zeros((512, 512), np.uint8))


def seen(source: Remembered) -> list[int]:
    return [int(frame.image[0, 0, 0]) for frame in source.frames()]


def test_what_fits_is_decoded_once():
    recording = Recording(3)
    source = Remembered(recording, 3)
    assert [seen(source) for _ in range(3)] == [[0, 1, 2]] * 3
    assert recording.decoded == 3


def test_what_does_not_fit_is_decoded_in_each_round_and_not_kept():
    recording = Recording(5)
    source = Remembered(recording, 4)
    assert [seen(source) for _ in range(2)] == [[0, 1, 2, 3, 4]] * 2
    assert recording.decoded == 10


def test_a_round_that_was_broken_off_is_no_round():
    recording = Recording(3)
    source = Remembered(recording, 8)
    assert len(list(islice(source.frames(), 2))) == 2
    assert [seen(source) for _ in range(2)] == [[0, 1, 2]] * 2
    assert recording.decoded == 5


def test_live_sources_are_taken_as_they_come():
    camera = Recording(2, live=True)
    source = Remembered(camera, 8)
    assert source.live
    assert [seen(source) for _ in range(2)] == [[0, 1]] * 2
    assert camera.decoded == 4

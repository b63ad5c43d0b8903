"""Messages that belong together by their stamps."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from std_msgs.msg import Header

from dense_perception.ros.synchronising import Synchroniser, synchronised


def at(ms: int, name: str = '') -> Any:
    header = Header()
    header.stamp.sec, header.stamp.nanosec = ms // 1000, ms % 1000 * 1_000_000
    return SimpleNamespace(header=header, ms=ms, name=name)


def run(inputs: int, slop: float, messages: list[tuple[int, int]],
        queue_size: int = 10) -> list[tuple[int, ...]]:
    """Times in milliseconds of the sets that came of (input, time) in this order."""
    sets: list[tuple[int, ...]] = []
    puts = synchronised(inputs, queue_size, slop, lambda *m: sets.append(
        tuple(message.ms for message in m)))
    for index, ms in messages:
        puts[index](at(ms))
    return sets


@pytest.mark.parametrize(('slop', 'messages', 'sets'), [
    (0.0, [(0, 1), (0, 2), (1, 2), (1, 1)], [(2, 2), (1, 1)]),
    (0.0, [(0, 1), (1, 2), (0, 3)], []),
    (0.05, [(0, 100), (1, 140), (0, 200), (1, 260)], [(100, 140)]),
    (0.05, [(0, 100), (0, 130), (1, 135)], [(130, 135)]),  # the nearest, not the earliest
    (0.05, [(0, 100), (1, 120), (1, 125)], [(100, 120)]),  # each message once
])
def test_sets_of_two(slop: float, messages: list[tuple[int, int]], sets: list[tuple[int, ...]]):
    assert run(2, slop, messages) == sets


def test_three_inputs_lie_within_the_slop_of_each_other():
    assert run(3, 0.05, [(1, 100), (2, 190), (0, 145)]) == []
    assert run(3, 0.05, [(1, 100), (2, 140), (0, 120)]) == [(120, 100, 140)]


def test_the_earliest_of_a_full_queue_goes():
    messages = [(0, ms) for ms in (1, 2, 3)] + [(1, 1), (1, 3)]
    assert run(2, 0.0, messages, queue_size=2) == [(3, 3)]


def test_one_input_passes_through():
    assert run(1, 0.0, [(0, 5), (0, 6)]) == [(5,), (6,)]


def test_the_stand_in_has_the_rules_of_message_filters():
    """Where message_filters is installed: the same sets from the same messages."""
    pytest.importorskip('message_filters', reason='message_filters is not installed')
    messages = [(0, 100), (1, 140), (0, 200), (1, 260), (1, 210), (0, 255)]
    ours: list[tuple[int, ...]] = []
    stand_in = Synchroniser(2, 10, 0.05, lambda *m: ours.append(tuple(x.ms for x in m)))
    for index, ms in messages:
        stand_in.add(index, at(ms))
    assert ours == run(2, 0.05, messages)

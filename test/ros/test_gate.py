"""The gate between frames and those who change what frames go through."""

from __future__ import annotations

import threading

import pytest

from dense_perception.ros.gate import Gate

PATIENCE_S = 30


def test_frames_are_inside_together_and_leave_in_any_thread():
    gate = Gate()
    first, second = gate.frame(), gate.frame()
    first.__enter__()
    second.__enter__()
    leaver = threading.Thread(target=lambda: first.__exit__(None, None, None))
    leaver.start()
    leaver.join(PATIENCE_S)
    second.__exit__(None, None, None)
    with gate.alone():
        pass


def test_who_wants_to_be_alone_waits_and_no_frame_comes_in_before_him():
    gate = Gate()
    inside, leave, claimed = threading.Event(), threading.Event(), threading.Event()
    events: list[str] = []

    def earlier() -> None:
        with gate.frame():
            inside.set()
            assert leave.wait(PATIENCE_S)
            events.append('earlier frame')

    def alone() -> None:
        claimed.set()
        with gate.alone():
            events.append('alone')

    def later() -> None:
        with gate.frame():
            events.append('later frame')

    threads = [threading.Thread(target=work) for work in (earlier, alone, later)]
    threads[0].start()
    assert inside.wait(PATIENCE_S)
    threads[1].start()
    assert claimed.wait(PATIENCE_S)
    while not gate.claimed:
        pass
    threads[2].start()
    threads[2].join(0.05)
    assert not events
    leave.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert events == ['earlier frame', 'alone', 'later frame']


def test_a_failure_inside_leaves_the_gate_open():
    gate = Gate()
    for inside in (gate.frame, gate.alone):
        with pytest.raises(ZeroDivisionError), inside():
            raise ZeroDivisionError
    with gate.alone():
        pass
    with gate.frame():
        pass

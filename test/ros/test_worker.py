"""The thread that cameras share."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from dense_perception.ros.mailbox import Mailbox
from dense_perception.ros.worker import Worker

PATIENCE_S = 30


def test_every_camera_has_its_turn_and_the_newest_frame():
    worker = Worker()
    order: list[tuple[str, int]] = []
    busy, go, done = threading.Event(), threading.Event(), threading.Event()

    def handle(camera: str) -> Callable[[int], None]:
        def work(frame: int) -> None:
            busy.set()
            go.wait(PATIENCE_S)
            order.append((camera, frame))
            if len(order) == 4:
                done.set()
        return work

    front, left, rear = (worker.join(handle(name)) for name in ('front', 'left', 'rear'))
    front.put(0)
    assert busy.wait(PATIENCE_S)
    for frame in range(1, 4):  # a camera three times as fast as the others
        front.put(frame)
    left.put(10)
    rear.put(20)
    go.set()
    assert done.wait(PATIENCE_S)
    worker.close()
    assert order == [('front', 0), ('left', 10), ('rear', 20), ('front', 3)]
    assert front.replaced == 2


def test_jobs_run_between_frames_and_may_fail():
    worker = Worker()
    threads: list[str] = []
    mailbox = worker.join(lambda frame: threads.append(threading.current_thread().name))
    mailbox.put(1)
    assert worker.submit(lambda: threading.current_thread().name).result(PATIENCE_S) == 'frames'
    with pytest.raises(ZeroDivisionError):
        worker.submit(lambda: 1 // 0).result(PATIENCE_S)
    assert worker.submit(lambda: 5).result(PATIENCE_S) == 5
    worker.close()


def test_no_job_is_missed_while_an_idle_worker_looks_for_work(monkeypatch):
    """Between looking into the mailboxes and falling asleep the lock is not let go."""
    changed = threading.Condition()
    mailbox: Mailbox[int] = Mailbox(changed)
    monkeypatch.setattr(changed, 'wait', lambda timeout=None: pytest.fail('the lock was let go'))
    with changed:
        assert mailbox.poll() is None
    mailbox.put(3)
    assert mailbox.poll() == 3

    monkeypatch.undo()
    worker = Worker()
    for _ in range(4):
        worker.join(lambda frame: None)
    for job in range(5000):
        assert worker.submit(lambda job=job: job).result(PATIENCE_S) == job
    worker.close()


def test_close_waits_for_what_is_in_work_and_leaves_the_rest():
    worker = Worker()
    started, go = threading.Event(), threading.Event()
    seen: list[int] = []

    def work(frame: int) -> None:
        started.set()
        go.wait(PATIENCE_S)
        seen.append(frame)

    mailbox = worker.join(work)
    mailbox.put(1)
    assert started.wait(PATIENCE_S)
    mailbox.put(2)
    threading.Timer(0.05, go.set).start()
    worker.close()
    assert seen == [1]


def test_a_worker_without_cameras_can_be_closed():
    Worker().close()

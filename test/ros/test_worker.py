"""The thread that cameras share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from dense_perception.inference.batches import Frame, Inference
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


class Engine:
    """Takes several images at once, and keeps how many it was given."""

    name = 'engine'

    def __init__(self, max_batch: int, concurrency: int = 1) -> None:
        self.max_batch, self.concurrency = max_batch, concurrency
        self.batches: list[list[int]] = []

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.batches.append(inputs['x'].tolist())
        return inputs


def test_frames_that_wait_for_one_engine_go_together_and_nobody_is_left_behind():
    worker = Worker()
    shared, alone = Engine(2), Engine(4)
    order: list[int] = []
    busy, go, done = threading.Event(), threading.Event(), threading.Event()

    def camera(engine: Engine) -> Mailbox[int]:
        def handle(frame: int) -> Frame[None]:
            busy.set()
            go.wait(PATIENCE_S)
            answer = yield Inference(engine, {'x': np.array([frame])})
            order.append(int(answer.outputs['x'][0]))
            if len(order) == 7:
                done.set()
        return worker.join(handle, lambda: engine)

    front, other, left, rear = (camera(e) for e in (shared, alone, shared, shared))
    front.put(0)
    assert busy.wait(PATIENCE_S)
    for first in (1, 2):  # the second replaces the first
        for place, mailbox in enumerate((front, other, left, rear)):
            mailbox.put(10 * first + place)
    front.put(40)
    go.set()
    while len(order) < 5:
        time.sleep(0.001)
    front.put(50)
    other.put(51)
    assert done.wait(PATIENCE_S)
    worker.close()
    assert alone.batches == [[21], [51]]
    assert sorted(order) == [0, 21, 22, 23, 40, 50, 51]
    assert shared.batches[0] == [0] and max(map(len, shared.batches)) == 2
    assert [m.replaced for m in (front, other, left, rear)] == [2, 1, 1, 1]


def test_an_engine_without_a_batch_gets_one_frame_at_a_time():
    worker = Worker()
    engine = Engine(1)
    done = threading.Semaphore(0)

    def handle(frame: int) -> Frame[None]:
        yield Inference(engine, {'x': np.array([frame])})
        done.release()

    mailboxes = [worker.join(handle, lambda: engine) for _ in range(3)]
    for frame, mailbox in enumerate(mailboxes):
        mailbox.put(frame)
    for _ in mailboxes:
        assert done.acquire(timeout=PATIENCE_S)
    worker.close()
    assert sorted(engine.batches) == [[0], [1], [2]]


def test_the_next_inference_runs_while_a_frame_is_finished_and_jobs_wait_for_both():
    worker = Worker()
    inferred, finish = threading.Semaphore(0), threading.Event()
    events: list[str] = []

    class Telling(Engine):
        def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            inferred.release()
            return super().run(inputs)

    engine = Telling(1)

    def handle(frame: int) -> Frame[None]:
        yield Inference(engine, {'x': np.array([frame])})
        assert finish.wait(PATIENCE_S)
        events.append(f'frame {frame}')

    mailbox = worker.join(handle, lambda: engine)
    mailbox.put(0)
    assert inferred.acquire(timeout=PATIENCE_S)
    mailbox.put(1)
    assert inferred.acquire(timeout=PATIENCE_S), 'the first frame held the second inference up'
    mailbox.put(2)  # waits: only one frame is finished at a time, and only one inferred
    job = worker.submit(lambda: events.append('job'))
    assert not inferred.acquire(timeout=0.05) and not events and not job.done()
    finish.set()
    job.result(PATIENCE_S)
    assert inferred.acquire(timeout=PATIENCE_S)
    worker.close()
    assert events == ['frame 0', 'frame 1', 'job', 'frame 2']
    assert engine.batches == [[0], [1], [2]]


class Slow(Engine):
    """Takes two calls at the same time; each lasts until its frame is let go."""

    def __init__(self) -> None:
        super().__init__(1, concurrency=2)
        self.begun = threading.Semaphore(0)
        self.go = {frame: threading.Event() for frame in range(4)}

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.begun.release()
        assert self.go[int(inputs['x'][0])].wait(PATIENCE_S)
        return super().run(inputs)


def test_an_engine_that_takes_several_gets_them_and_frames_are_finished_in_their_order():
    worker = Worker()
    engine = Slow()
    events: list[str] = []

    def handle(frame: int) -> Frame[None]:
        yield Inference(engine, {'x': np.array([frame])})
        events.append(f'frame {frame}')

    front, rear = (worker.join(handle, lambda: engine) for _ in range(2))
    front.put(0)
    assert engine.begun.acquire(timeout=PATIENCE_S)
    rear.put(1)
    assert engine.begun.acquire(timeout=PATIENCE_S), 'the second waited for the first'
    front.put(2)
    front.put(3)
    job = worker.submit(lambda: events.append('job'))
    engine.go[1].set()  # done before the first, it waits for it and keeps its place
    assert not engine.begun.acquire(timeout=0.05) and not events and not job.done()
    engine.go[0].set()
    job.result(PATIENCE_S)
    assert engine.begun.acquire(timeout=PATIENCE_S)
    engine.go[3].set()
    worker.close()
    assert events == ['frame 0', 'frame 1', 'job', 'frame 3'] and front.replaced == 1


def test_a_full_engine_does_not_hold_up_a_camera_that_has_nothing():
    worker = Worker()
    narrow, wide = Slow(), Slow()
    narrow.concurrency = 1

    def camera(engine: Slow) -> Mailbox[int]:
        def handle(frame: int) -> Frame[None]:
            yield Inference(engine, {'x': np.array([frame])})
        return worker.join(handle, lambda: engine)

    one, _, other = camera(wide), camera(narrow), camera(wide)
    one.put(0)
    other.put(1)
    for _ in range(2):
        assert wide.begun.acquire(timeout=PATIENCE_S)
    for event in wide.go.values():
        event.set()
    worker.close()
    assert sorted(wide.batches) == [[0], [1]] and narrow.batches == []


def test_a_frame_whose_engine_has_no_room_keeps_its_turn():
    """Else cameras on an engine that takes more would never let it have one."""
    worker = Worker()
    narrow, wide = Slow(), Slow()
    narrow.concurrency = 1
    order: list[str] = []

    def camera(name: str, engine: Slow) -> Mailbox[int]:
        def handle(frame: int) -> Frame[None]:
            order.append(name)
            yield Inference(engine, {'x': np.array([frame])})
        return worker.join(handle, lambda: engine)

    first, patient, other = camera('first', wide), camera('narrow', narrow), camera('other', wide)
    first.put(0)
    assert wide.begun.acquire(timeout=PATIENCE_S)
    patient.put(1)
    other.put(2)  # there would be room for it
    assert not wide.begun.acquire(timeout=0.05) and order == ['first']
    wide.go[0].set()
    assert narrow.begun.acquire(timeout=PATIENCE_S)
    narrow.go[1].set()
    wide.go[2].set()
    assert wide.begun.acquire(timeout=PATIENCE_S)
    worker.close()
    assert order == ['first', 'narrow', 'other']


def test_what_a_camera_does_not_catch_ends_the_worker(monkeypatch):
    worker = Worker()
    engine = Engine(1)
    ended: list[BaseException] = []
    monkeypatch.setattr(threading, 'excepthook', lambda args: ended.append(args.exc_value))

    def handle(frame: int) -> Frame[None]:
        yield Inference(engine, {'x': np.array([frame])})
        raise ZeroDivisionError

    mailbox = worker.join(handle, lambda: engine)
    deadline = time.monotonic() + PATIENCE_S
    while not ended and time.monotonic() < deadline:
        mailbox.put(1)
        time.sleep(0.001)
    worker.close()
    assert [type(error) for error in ended] == [ZeroDivisionError]

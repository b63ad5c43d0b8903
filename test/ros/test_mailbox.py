"""The newest-frame mailbox between threads."""

from __future__ import annotations

import threading

from dense_perception.ros.mailbox import Mailbox


def test_newer_replaces_older_and_is_counted():
    mailbox: Mailbox[int] = Mailbox()
    for item in range(5):
        mailbox.put(item)
    assert mailbox.take() == 4
    assert mailbox.replaced == 4
    assert mailbox.take(timeout=0) is None
    mailbox.put(5)
    assert (mailbox.take(), mailbox.replaced) == (5, 4)


def test_put_wakes_the_waiting_take():
    mailbox: Mailbox[int] = Mailbox()
    threading.Timer(0.05, mailbox.put, [1]).start()
    assert mailbox.take(timeout=30) == 1


def test_what_is_thrown_away_is_counted():
    mailbox: Mailbox[int] = Mailbox()
    mailbox.put(1)
    mailbox.clear()
    mailbox.clear()
    assert (mailbox.take(timeout=0), mailbox.replaced) == (None, 1)


def test_every_item_is_taken_or_counted():
    mailbox: Mailbox[int] = Mailbox()
    taken: list[int] = []

    def work() -> None:
        while (item := mailbox.take(timeout=30)) != 20_000:
            taken.append(item)

    worker = threading.Thread(target=work)
    worker.start()
    for item in range(20_001):
        mailbox.put(item)
    worker.join()
    assert len(taken) + mailbox.replaced == 20_000
    assert taken == sorted(set(taken))

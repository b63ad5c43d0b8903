"""A signal ends a command as an interrupt, wherever in rclpy it arrives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from dense_perception.cli import interrupts
from dense_perception.cli.command import CommandError
from dense_perception.cli.observer import STATUS, Observer
from dense_perception_msgs.msg import InferenceStatus


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    hook = sys.unraisablehook
    interrupts.install()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    sys.unraisablehook = hook


def receive(domain: int) -> None:
    """Wait for a message that sends SIGINT to this process while it is converted."""
    with Observer(domain, ()) as observer:
        publisher = observer.node.create_publisher(InferenceStatus, STATUS, 10)
        message = InferenceStatus()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(InferenceStatus, '__init__',
                          lambda self: os.kill(os.getpid(), signal.SIGINT))
            for _ in range(100):
                publisher.publish(message)
                observer.spin(0.05)


def test_a_signal_while_a_message_is_converted_is_an_interrupt(ros_domain: int):
    with pytest.raises(RuntimeError, match='argument'):
        receive(ros_domain)  # rclpy's own answer; if it is another one day, unmasked() can go
    with pytest.raises(KeyboardInterrupt), interrupts.unmasked():
        receive(ros_domain)


def test_sigterm_is_an_interrupt():
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)


def test_an_error_without_a_signal_stays_what_it_is():
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(RuntimeError, match='mine'), interrupts.unmasked():
        raise RuntimeError('mine')


def test_what_a_command_says_after_an_interrupt_it_has_handled_is_heard():
    with pytest.raises(CommandError, match='cancelled'), interrupts.unmasked():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        raise CommandError('the build was cancelled')


def test_an_interrupt_that_python_drops_comes_again():
    # In a process of its own: pytest listens to what Python drops, too.
    probe = ('import os, signal, time; from dense_perception.cli import interrupts\n'
             'class Dying:\n'
             '    def __del__(self): os.kill(os.getpid(), signal.SIGINT); time.sleep(0.01)\n'
             'interrupts.install()\n'
             'dying = Dying(); del dying\n'
             'print("dropped", flush=True)\n'
             'try: time.sleep(20)\n'
             'except KeyboardInterrupt: print("heard")')
    process = subprocess.run([sys.executable, '-c', probe], capture_output=True, text=True)
    assert process.stdout.split() == ['dropped', 'heard'], process.stderr
    assert process.returncode == 0 and not process.stderr


def test_an_ignored_signal_stays_ignored():
    # A shell's background jobs are started so.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interrupts.install()
    os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN

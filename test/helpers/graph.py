"""A test's place on a real ROS 2 graph: its own node, and this package's nodes as processes."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PATIENCE_S = 40.0
"""After so long without the awaited a test fails; far beyond what any of it takes."""


@contextlib.contextmanager
def reserved_domain() -> Iterator[int]:
    """A ROS_DOMAIN_ID that no other test on this machine uses at the same time."""
    for domain in range(1, 101):
        with open(Path(tempfile.gettempdir()) / f'dense_perception_domain_{domain}', 'w') as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield domain
            return
    raise RuntimeError('all ROS domains from 1 to 100 are in use by tests')


class NodeProcess:
    """One executable of this package as its own process, its output in a file."""

    def __init__(self, module: str, domain: int, log: Path, parameters: dict[str, Any],
                 arguments: tuple[str, ...] = ()) -> None:
        command = [sys.executable, '-m', f'dense_perception.nodes.{module}', '--ros-args']
        for name, value in parameters.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            command += ['-p', f'{name}:={text}']
        self._log = log
        with log.open('wb') as output:
            self._process = subprocess.Popen(
                [*command, *arguments], stdout=output, stderr=subprocess.STDOUT,
                env=os.environ | {'ROS_DOMAIN_ID': str(domain)})

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        """Everything it wrote."""
        return self._log.read_text(errors='replace')

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        """Exit code, once it has ended."""
        try:
            return self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f'the process does not end; it wrote:\n{self.log}') from None

    def stop(self) -> None:
        """End it as Ctrl-C would; by force if that does not help."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Graph:
    """A node of the test's own, and processes that end with it."""

    def __init__(self, domain: int, folder: Path) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        self.domain = domain
        self._folder = folder
        self._context = rclpy.Context()
        self._context.init(domain_id=domain)
        self.node = rclpy.create_node('test', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.processes: list[NodeProcess] = []
        self._hosted: list[Any] = []

    def start(self, module: str, *arguments: str, **parameters: Any) -> NodeProcess:
        """Start an executable; ``__`` in a parameter's name stands for a dot."""
        process = NodeProcess(
            module, self.domain, self._folder / f'{module}_{len(self.processes)}.log',
            {name.replace('__', '.'): value for name, value in parameters.items()}, arguments)
        self.processes.append(process)
        return process

    def host(self, build: Callable[..., Any], **parameters: Any) -> Any:
        """An executable in this process, where tests can put other parts into it.

        :param build: takes the options of its node; ``parameters`` as of ``start``.
        """
        arguments = ['--ros-args']
        for name, value in parameters.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            arguments += ['-p', f'{name.replace("__", ".")}:={text}']
        executable = build(context=self._context, cli_args=arguments, use_global_arguments=False)
        for node in executable.nodes:
            self._executor.add_node(node)
        self._hosted.append(executable)
        return executable

    def collect(self, message_type: type, topic: str, qos: Any = 10,
                wanted: Callable[[Any], bool] = lambda message: True) -> list[Any]:
        """List that fills with the messages of a topic while the graph spins.

        Topics find their subscriptions one by one, and what belongs together comes one by one:
        a message in one list says nothing about another list.
        """
        messages: list[Any] = []

        def heard(message: Any) -> None:
            if wanted(message):
                messages.append(message)

        self.node.create_subscription(message_type, topic, heard, qos)
        return messages

    def spin_until(self, condition: Callable[[], Any], what: str,
                   meanwhile: Callable[[], None] | None = None, period: float = 0.05) -> Any:
        """Spin until ``condition`` gives something true, and return that.

        :param meanwhile: called every ``period`` seconds, e.g. to publish.
        """
        end = time.monotonic() + PATIENCE_S
        due = 0.0
        while not (result := condition()):
            now = time.monotonic()
            if now > end:
                logs = '\n'.join(process.log for process in self.processes)
                raise AssertionError(f'waited in vain for {what}; the nodes wrote:\n{logs}')
            if meanwhile is not None and now >= due:
                meanwhile()
                due = now + period
            self._executor.spin_once(timeout_sec=0.02)
        return result

    def spin(self, seconds: float) -> None:
        """Spin for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def close(self) -> None:
        """End the processes and leave the domain, which another test may have next."""
        for process in self.processes:
            process.stop()
        self._executor.shutdown()
        for executable in self._hosted:
            executable.close()
            for node in executable.nodes:
                node.destroy_node()
        self.node.destroy_node()
        self._context.try_shutdown()
        # rclpy keeps a node on the graph until the last that refers to it is gone: a lifecycle
        # node's own parts, an action client, the executor, which remembers whose callback it ran
        # last.
        self._hosted.clear()
        del self._executor, self.node
        executable = node = None
        gc.collect()

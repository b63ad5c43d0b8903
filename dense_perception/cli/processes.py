"""Nodes as child processes on a ROS domain of their own."""

from __future__ import annotations

import ctypes
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from dense_perception.cli.command import CommandError

START_PATIENCE_S = 60.0
_STOP_PATIENCE_S = 5.0
_PR_SET_PDEATHSIG = 1
_LOG_LINE = re.compile(r'\[(?P<level>FATAL|ERROR|WARN)\] \[[^]]*\] \[[^]]*\]:? ?(?P<sentence>.*)')


class NodeProcess:
    """One node of this package as a child process that never outlives its parent.

    :param module: ``dense_perception.nodes.<module>``.
    :param parameters: ROS parameters by name.
    :param domain: ROS_DOMAIN_ID.
    :param log: file that takes the node's output.
    """

    def __init__(self, module: str, parameters: Mapping[str, object], domain: int,
                 log: Path) -> None:
        self.name = module
        self._log = log
        command = [sys.executable, '-m', f'dense_perception.nodes.{module}', '--ros-args']
        for name, value in parameters.items():
            command += ['-p', f'{name}:={json.dumps(value)}']
        with log.open('wb') as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env=os.environ | {'ROS_DOMAIN_ID': str(domain)},
                start_new_session=True, preexec_fn=_die_with_parent)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def cpu_seconds(self) -> float:
        """Processor time until now."""
        fields = Path(f'/proc/{self.pid}/stat').read_text().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')  # utime, stime

    def resident_mb(self) -> float:
        """Resident memory now, in 10^6 bytes."""
        pages = int(Path(f'/proc/{self.pid}/statm').read_text().split()[1])
        return round(pages * os.sysconf('SC_PAGE_SIZE') / 1e6, 1)

    @property
    def exit_code(self) -> int | None:
        """Exit code; None while it runs."""
        return self._process.poll()

    def warnings(self) -> list[str]:
        """Sentences that the node logged as WARN or worse, each once, in order."""
        matches = (_LOG_LINE.search(line) for line in self._lines())
        return list(dict.fromkeys(match['sentence'] for match in matches if match))

    def reason(self) -> str:
        """Why it ended: its last FATAL sentence, or the last line it wrote."""
        lines = self._lines()
        for line in reversed(lines):
            match = _LOG_LINE.search(line)
            if match and match['level'] == 'FATAL':
                return match['sentence']
        last = lines[-1] if lines else 'it wrote nothing'
        return f'{self.name} ended with exit code {self.exit_code}: {last}'

    def stop(self) -> None:
        """Ask it to end as Ctrl-C would, and end it by force if it does not."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(_STOP_PATIENCE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()

    def _lines(self) -> list[str]:
        text = self._log.read_text(errors='replace')
        return [line for line in text.splitlines() if line.strip()]


class NodeGroup:
    """Node processes that start in order and all end together; a context manager.

    From here on this process and its nodes keep their ROS logs in ``log_folder`` and talk to this
    machine only, unless the environment says otherwise.

    :param domain: ROS_DOMAIN_ID.
    :param log_folder: made if it is not there.
    """

    def __init__(self, domain: int, log_folder: Path) -> None:
        self.domain = domain
        self._log_folder = log_folder
        self._log_folder.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault('ROS_LOG_DIR', str(log_folder / 'ros'))
        os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
        self.nodes: list[NodeProcess] = []

    def start(self, module: str, parameters: Mapping[str, object]) -> NodeProcess:
        """Start one node."""
        log = self._log_folder / f'{module}.log'
        if any(node.name == module for node in self.nodes):
            log = log.with_stem(f'{module}_{len(self.nodes)}')
        node = NodeProcess(module, parameters, self.domain, log)
        self.nodes.append(node)
        return node

    def check(self) -> None:
        """Look whether a node has failed.

        :raises CommandError: with the node's own sentence.
        """
        for node in self.nodes:
            if node.exit_code not in (None, 0):
                raise CommandError(node.reason())

    def wait_for(self, what: str, condition: Callable[[], object],
                 spin: Callable[[float], None]) -> None:
        """Spin until ``condition`` holds.

        :raises CommandError: a node failed, or nothing came of it in a minute; with the nodes'
            own sentences.
        """
        end = time.monotonic() + START_PATIENCE_S
        while not condition():
            spin(0.1)
            self.check()
            if time.monotonic() > end:
                said = [w for node in self.nodes for w in node.warnings()]
                raise CommandError(f'no {what} within {START_PATIENCE_S:.0f} s; '
                                   + ('; '.join(said) or 'the nodes gave no reason'))

    def __enter__(self) -> NodeGroup:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for node in self.nodes:
            node.stop()


def free_domain() -> int:
    """A ROS domain id that nobody on this machine uses now.

    A participant listens on UDP port 7400 + 250 * domain + 10 (DDSI-RTPS 9.6.1), so a domain
    whose first ports can be bound has none.
    """
    for domain in random.sample(range(1, 101), 100):
        try:
            for port in (7400 + 250 * domain, 7410 + 250 * domain):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                    probe.bind(('', port))
        except OSError:
            continue
        return domain
    raise CommandError('every ROS domain from 1 to 100 is in use on this machine')


def _die_with_parent() -> None:
    """In the child: let Linux end it when the parent dies, however it dies."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

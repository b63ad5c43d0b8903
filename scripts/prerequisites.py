"""What a machine must have before the set-up can start, and the sentence when it has not."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
import sysconfig
from pathlib import Path

NEWEST_PYTHON = (3, 14)
"""The last one that the ROS wheels are built for."""

OLDEST_GLIBC = (2, 28)

_COMMANDS = (
    ('a C compiler', 'CC', ['cc', 'gcc', 'clang']),
    ('a C++ compiler', 'CXX', ['c++', 'g++', 'clang++']),
    ('make', '', ['make']),
)


def complaint() -> str | None:
    """Say in one sentence what this machine or this interpreter lacks; None if nothing."""
    wrong_machine = _wrong_machine()
    if wrong_machine:
        return wrong_machine
    missing = _missing_tools()
    if not missing:
        return None
    version = f'{sys.version_info.major}.{sys.version_info.minor}'
    return (f'Missing on this machine: {", ".join(missing)}; on Debian or Ubuntu '
            f'"sudo apt install build-essential python{version}-venv python{version}-dev" '
            'brings them.')


def _wrong_machine() -> str | None:
    if sys.platform != 'linux' or platform.machine() != 'x86_64':
        return ('The ROS 2 wheels exist for x86-64 Linux only, and this is '
                f'{platform.machine()} {platform.system()}: use a ROS installation and colcon '
                '(docs/install.md).')
    if sys.version_info[:2] > NEWEST_PYTHON:
        return (f'The ROS 2 wheels exist for Python 3.10 to 3.{NEWEST_PYTHON[1]}, and '
                f'{sys.executable} is {platform.python_version()}: name another one, '
                'as in "make PYTHON=python3.12".')
    name, version = platform.libc_ver()
    if name != 'glibc' or tuple(map(int, version.split('.')[:2])) < OLDEST_GLIBC:
        return (f'The ROS 2 wheels need glibc 2.28 or newer, and this system has '
                f'{name or "another C library"} {version}.')
    return None


def _missing_tools() -> list[str]:
    missing = []
    if not all(map(importlib.util.find_spec, ('venv', 'ensurepip'))):
        missing.append(f'the venv module of {sys.executable}')
    if not Path(sysconfig.get_path('include'), 'Python.h').is_file():
        missing.append(f'the headers of {sys.executable} (Python.h)')
    for what, variable, names in _COMMANDS:
        chosen = os.environ.get(variable, '').split()[:1]
        if not any(map(shutil.which, chosen or names)):
            missing.append(f'{what} ({(chosen or names)[0]})')
    return missing

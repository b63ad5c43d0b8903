"""What tests of every room share: a model file with known answers, a ROS graph of their own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from helpers.graph import Graph, reserved_domain

from dense_perception.ros import dds

# Fast DDS and ROS read these once per process, so they must be there before any test's context.
dds.use_shipped_profile()
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
# A background job of a shell ignores SIGINT, and so would the nodes that tests stop with it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Say how a process of pytest-xdist died: -9 is what the kernel does when memory ends."""
    if error is not None:
        try:
            status = node.gateway._io.popen.wait(10)
        except (AttributeError, subprocess.TimeoutExpired) as problem:
            status = f'unknown ({problem})'
        print(f'\n{node.gateway.id} ended with exit code {status}')


@pytest.fixture(scope='session', autouse=True)
def ros_logs_in_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ['ROS_LOG_DIR'] = str(tmp_path_factory.mktemp('ros_logs'))


@pytest.fixture(scope='session')
def plane_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model file of helpers.plane_model at 64 x 80."""
    from helpers.plane_model import write_plane_model
    return write_plane_model(tmp_path_factory.mktemp('model') / 'plane.onnx')


@pytest.fixture
def ros_domain() -> Iterator[int]:
    """A ROS_DOMAIN_ID of the test's own."""
    with reserved_domain() as domain:
        yield domain


@pytest.fixture
def graph(ros_domain: int, tmp_path: Path) -> Iterator[Graph]:
    """A node on a domain of the test's own; its processes end with the test."""
    with closing(Graph(ros_domain, tmp_path)) as graph:
        yield graph

"""vision_msgs/LabelInfo where vision_msgs is not installed: built once from its two messages.

PyPI has no wheel of vision_msgs. What is built here has the package's name and the fields of its
messages, so that it is the same on the wire; it stays out of the environment, in a folder of its
own beside it.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from helpers.source_tree import ROOT

_FOLDER = Path(sys.prefix) / 'vision_msgs_for_tests'
_FILES = {
    'msg/VisionClass.msg': 'uint16 class_id\nstring class_name\n',
    'msg/LabelInfo.msg': ('std_msgs/Header header\nvision_msgs/VisionClass[] class_map\n'
                          'float32 threshold\n'),
    'CMakeLists.txt': ('cmake_minimum_required(VERSION 3.16)\nproject(vision_msgs)\n'
                       'find_package(ament_cmake REQUIRED)\nfind_package(std_msgs REQUIRED)\n'
                       'find_package(rosidl_default_generators REQUIRED)\n'
                       'rosidl_generate_interfaces(${PROJECT_NAME} msg/VisionClass.msg '
                       'msg/LabelInfo.msg DEPENDENCIES std_msgs)\nament_package()\n')}


def environment() -> dict[str, str]:
    """Variables with which a process finds vision_msgs; empty where it is installed.

    Skips the test, with the reason, where it cannot be built.
    """
    if importlib.util.find_spec('vision_msgs'):
        return {}
    with open(Path(tempfile.gettempdir()) / 'vision_msgs_for_tests.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _FOLDER.exists():
            _build()
    packages = next(_FOLDER.glob('lib/python*/site-packages'))
    old = {name: os.environ.get(name) for name in ('PYTHONPATH', 'LD_LIBRARY_PATH')}
    return {'PYTHONPATH': os.pathsep.join(filter(None, (str(packages), old['PYTHONPATH']))),
            'LD_LIBRARY_PATH': os.pathsep.join(filter(None, (str(_FOLDER / 'lib'),
                                                             old['LD_LIBRARY_PATH'])))}


def _build() -> None:
    spec = importlib.util.spec_from_file_location(
        'build_messages', ROOT / 'scripts' / 'build_messages.py')
    build_messages = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build_messages)
    unfinished = _FOLDER.with_suffix('.unfinished')
    shutil.rmtree(unfinished, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / 'vision_msgs'
        manifest = (ROOT / 'dense_perception_msgs' / 'package.xml').read_text()
        files = _FILES | {'package.xml': manifest.replace('dense_perception_msgs', 'vision_msgs')}
        for name, text in files.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text(text)
        try:
            build_messages.build(source, unfinished)
        except (subprocess.CalledProcessError, OSError) as error:
            pytest.skip(f'vision_msgs is neither installed nor can it be built here: {error}')
    os.replace(unfinished, _FOLDER)

"""Build dense_perception_msgs against pip's ROS wheels, into the environment that runs this."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import numpy

SOURCE = Path(__file__).resolve().parent.parent / 'dense_perception_msgs'
PREFIX = Path(sys.prefix)

_WHEEL_BUILDER = r'/opt/python/cp3[^;"\s]*'


def mend_exported_includes() -> None:
    """Point the wheels' exported CMake targets at this interpreter's headers.

    They still name the include directories of the machine that built the wheels, and CMake
    refuses directories that do not exist.
    """
    for file in PREFIX.glob('share/*/cmake/*Export.cmake'):
        text = file.read_text()
        mended = re.sub(rf'{_WHEEL_BUILDER}/numpy/[^;"\s]*', numpy.get_include(), text)
        mended = re.sub(rf'{_WHEEL_BUILDER}/include/python[\d.]+',
                        sysconfig.get_path('include'), mended)
        if mended != text:
            file.write_text(mended)


def build() -> None:
    """Generate, compile and install; raises CalledProcessError where CMake fails."""
    environment = {**os.environ, 'VIRTUAL_ENV': str(PREFIX)}
    cmake = str(PREFIX / 'bin' / 'cmake')
    with tempfile.TemporaryDirectory(prefix='dense_perception_msgs-') as folder:
        configure = [
            cmake, '-S', str(SOURCE), '-B', folder, '-DCMAKE_BUILD_TYPE=Release',
            f'-DCMAKE_INSTALL_PREFIX={PREFIX}', f'-DCMAKE_PREFIX_PATH={PREFIX}',
            f'-DPython3_EXECUTABLE={PREFIX / "bin" / "python"}',
            '-DPython3_FIND_VIRTUALENV=ONLY', '-DBUILD_TESTING=OFF',
        ]
        parallel = str(os.cpu_count() or 1)
        for command in (configure, [cmake, '--build', folder, '--parallel', parallel],
                        [cmake, '--install', folder]):
            subprocess.run(command, check=True, env=environment)


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the build folder goes away
    mend_exported_includes()
    try:
        build()
    except subprocess.CalledProcessError as error:
        sys.exit(f'{" ".join(error.cmd[:2])} failed with code {error.returncode}')

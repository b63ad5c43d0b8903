"""Build message packages against pip's ROS wheels in the environment that runs this."""

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


def build(source: Path = SOURCE, prefix: Path = PREFIX) -> None:
    """Generate, compile and install a package; raises CalledProcessError where CMake fails.

    :param source: folder of the package, by default dense_perception_msgs.
    :param prefix: where to install it, by default into the environment.
    """
    environment = {**os.environ, 'VIRTUAL_ENV': str(PREFIX), 'AMENT_PREFIX_PATH': str(PREFIX)}
    cmake = str(PREFIX / 'bin' / 'cmake')
    with tempfile.TemporaryDirectory(prefix=f'{source.name}-') as folder:
        configure = [
            cmake, '-S', str(source), '-B', folder, '-DCMAKE_BUILD_TYPE=Release',
            f'-DCMAKE_INSTALL_PREFIX={prefix}', f'-DCMAKE_PREFIX_PATH={PREFIX}',
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

"""Has a version of TensorRT the attributes that the backend uses? Without its libraries, or a GPU.

    python scripts/tensorrt_bindings.py tensorrt-bindings==8.6.1 tensorrt-cu12-bindings==10.16.1.11

Downloads the Python bindings from PyPI (1 MB each; the libraries are elsewhere), gives them
libraries whose functions do nothing, imports them and looks. Needs a C compiler, nm and readelf.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

_OURS = re.compile(r'(create\w+_INTERNAL|get\w+|initLib\w+|_ZN\d+nv\w+)$')
_LOOK = """
import importlib.util, sys
from helpers import tensorrt_surface
spec = importlib.util.spec_from_file_location('tensorrt', sys.argv[1])
trt = importlib.util.module_from_spec(spec)
spec.loader.exec_module(trt)
print(', '.join(tensorrt_surface.missing(trt)) or
      f'all {len(tensorrt_surface.reached(trt))} there')
"""


def look(requirement: str, folder: Path) -> str:
    """What this version of the bindings lacks, in words."""
    subprocess.run([sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps',
                    '--only-binary=:all:', '--dest', str(folder), requirement], check=True)
    with zipfile.ZipFile(next(folder.glob('*.whl'))) as wheel:
        wheel.extractall(folder)
    bindings = next(folder.glob('*/tensorrt.so'))
    _write_libraries(bindings)
    environment = {**os.environ, 'LD_LIBRARY_PATH': str(bindings.parent),
                   'PYTHONPATH': f'{ROOT / "test"}:{ROOT}'}
    return subprocess.run([sys.executable, '-c', _LOOK, str(bindings)], env=environment,
                          check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def _write_libraries(bindings: Path) -> None:
    """Libraries beside the bindings that they ask for, with the symbols that they lack."""
    listed = _output('nm', '-D', '--undefined-only', str(bindings))
    symbols = {line.split()[-1].partition('@')[0] for line in listed.splitlines()}
    source = bindings.with_name('nothing.s')
    source.write_text(''.join(f'.globl {s}\n{s}:\n' for s in symbols if _OURS.match(s))
                      + 'xor %eax, %eax\nret\n.section .note.GNU-stack,"",@progbits\n')
    for name in re.findall(r'\[(libnv\S+)\]', _output('readelf', '-d', str(bindings))):
        library = bindings.with_name(name)
        subprocess.run(['cc', '-shared', '-o', str(library), str(source)], check=True)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == '__main__':
    for wanted in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as temporary:
            print(f'{wanted}: {look(wanted, Path(temporary))}')

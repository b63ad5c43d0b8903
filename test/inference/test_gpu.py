"""The probe of the GPU against a driver library that answers what each test says."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from dense_perception.inference.backends import BackendError, gpu

CC = shutil.which('cc') or shutil.which('gcc')

DRIVER = """
#include <string.h>
int cuInit(unsigned flags) {{ return {init}; }}
int cuDriverGetVersion(int *v) {{ *v = 12060; return 0; }}
int cuDeviceGet(int *d, int i) {{ *d = i; return 0; }}
int cuDeviceGetName(char *name, int n, int d) {{ strncpy(name, "Orin", n); return 0; }}
int cuDeviceGetAttribute(int *v, int a, int d) {{ *v = a == 75 ? 8 : a == 76 ? 7 : -1; return 0; }}
"""


def driver(folder: Path, init: int) -> str:
    if CC is None:
        pytest.skip('no C compiler')
    source, library = folder / 'cuda.c', folder / f'cuda{init}.so'
    source.write_text(DRIVER.format(init=init))
    subprocess.run([CC, '-shared', '-fPIC', '-o', library, source], check=True)
    return str(library)


def test_the_gpu_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gpu, '_DRIVER', driver(tmp_path, 0))
    assert gpu.probe() == gpu.Gpu('Orin', (8, 7), (12, 6))
    assert gpu.probe().compute_capability == '8.7'


@pytest.mark.parametrize(('code', 'said'), [
    (100, 'sees no GPU.*--gpus all'), (803, 'different versions: restart'),
    (999, 'nvidia_uvm'), (46, 'cuInit of the driver fails with CUDA error 46')])
def test_a_driver_that_fails_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                              code: int, said: str):
    monkeypatch.setattr(gpu, '_DRIVER', driver(tmp_path, code))
    with pytest.raises(BackendError, match=f'no NVIDIA GPU can be used: .*{said}'):
        gpu.probe()


def test_no_driver_is_said_in_words(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gpu, '_DRIVER', 'libnowhere.so.1')
    with pytest.raises(BackendError, match='the driver is not installed'):
        gpu.probe()

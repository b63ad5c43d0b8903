"""Is there an NVIDIA GPU, and which? Asked of the driver before any library that needs one.

TensorRT's own answers without a GPU are a bare TypeError, or with 8.6 a segmentation fault.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from dense_perception.inference.backends.base import BackendError

_DRIVER = 'libcuda.so.1'
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76  # CUdevice_attribute
_NAME_BYTES = 256

_HINTS = {
    100: 'the driver sees no GPU (in a container: was it started with --gpus all, or with the '
         'runtime nvidia?)',
    803: 'the driver in the kernel and its libraries are of different versions: restart',
    804: 'the driver is too old for the CUDA compatibility libraries that are installed',
    999: 'the driver is stuck (after a suspend "modprobe -r nvidia_uvm && modprobe nvidia_uvm" '
         'helps, or a restart)'}


@dataclass(frozen=True)
class Gpu:
    """A GPU: its name, its compute capability, the newest CUDA that its driver can do."""

    name: str
    capability: tuple[int, int]
    cuda: tuple[int, int]

    @property
    def compute_capability(self) -> str:
        """For example ``8.7``."""
        return '{}.{}'.format(*self.capability)


def probe() -> Gpu:
    """Ask the driver for the first GPU.

    :raises BackendError: there is none that can be used; the message says why.
    """
    try:
        driver = ctypes.CDLL(_DRIVER)
    except OSError:
        raise BackendError('no NVIDIA GPU: the driver is not installed '
                           f'({_DRIVER} is not there)') from None
    _call(driver, 'cuInit', 0)
    device, version = ctypes.c_int(), ctypes.c_int()
    name = ctypes.create_string_buffer(_NAME_BYTES)
    _call(driver, 'cuDriverGetVersion', ctypes.byref(version))
    _call(driver, 'cuDeviceGet', ctypes.byref(device), 0)
    _call(driver, 'cuDeviceGetName', name, _NAME_BYTES, device)
    capability = []
    for attribute in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR):
        value = ctypes.c_int()
        _call(driver, 'cuDeviceGetAttribute', ctypes.byref(value), attribute, device)
        capability.append(value.value)
    return Gpu(name.value.decode(errors='replace'), (capability[0], capability[1]),
               (version.value // 1000, version.value % 1000 // 10))


def _call(driver: ctypes.CDLL, function: str, *arguments: object) -> None:
    code = getattr(driver, function)(*arguments)
    if code:
        hint = _HINTS.get(code, f'{function} of the driver fails with CUDA error {code}')
        raise BackendError(f'no NVIDIA GPU can be used: {hint}')

"""The device that benchmarks of torch run on."""

from __future__ import annotations

import os

from dense_perception.cli.command import CommandError


def choose_device(wanted: str, threads: int) -> tuple[str, int]:
    """'cpu' or 'cuda', and the CPU threads that torch has from now on.

    :param wanted: auto, cpu or cuda. :param threads: 0 = one for each core.
    :raises CommandError: there is no GPU and one was asked for.
    """
    import torch
    threads = threads or len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    if wanted == 'cuda' and not torch.cuda.is_available():
        raise CommandError('torch finds no CUDA GPU here; take --device cpu')
    return 'cuda' if wanted != 'cpu' and torch.cuda.is_available() else 'cpu', threads


def wait_for(device: str) -> None:
    """Until what was launched on the device has ended."""
    import torch
    if device == 'cuda':
        torch.cuda.synchronize()


def name_device(device: str, threads: int) -> str:
    """For a result."""
    if device == 'cpu':
        return f'CPU, {threads} threads'
    import torch
    return torch.cuda.get_device_name()

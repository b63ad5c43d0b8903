"""What makes a training step cheap on a CPU: it halves the time of ``xnet_small``'s."""

from __future__ import annotations

import ctypes
from functools import partial

import torch
from torch import nn

from dense_perception.inference.backends.base import cpu_has

# mallopt's parameters, from glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_TOP_PAD = 256 << 20


def has_fast_bfloat16() -> bool:
    """Whether the processor computes faster in bfloat16 than in float32: whether it has AMX.

    A Xeon with avx512_bf16 alone has instructions for it, and oneDNN takes them, but a step of
    ``xnet_small`` takes 1.6 times as long as in float32 and Muon's orthogonalisation three times;
    where bfloat16 is imitated, ten and thirty-five times. ARM and AMD's were never measured.
    """
    return cpu_has('amx_bf16')


def precision_for(wanted: str) -> str:
    """The precision of a recipe, or float32 where this processor is slower in bfloat16."""
    if not wanted.startswith('bf16') or has_fast_bfloat16():
        return wanted
    print('this processor has no AMX, without which bfloat16 is slower than float32: 32-true '
          f'instead of {wanted}')
    return '32-true'


def orthogonalise_in_float32() -> None:
    """Have timm's Muon compute in float32; it has no option for it, and takes bfloat16."""
    from timm.optim import muon
    muon.zeropower_via_newtonschulz = partial(muon.zeropower_via_newtonschulz,
                                              dtype=torch.float32)


class Float32Conv2d(nn.Conv2d):
    """A convolution that autocast leaves in float32."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See :class:`torch.nn.Conv2d`."""
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


def prepare_model(model: nn.Module) -> None:
    """Lay the weights out as oneDNN likes them, in place; the same function of the same weights.

    Channels last: pointwise convolutions in bfloat16 then take a quarter of the time. Depthwise
    ones stay in float32: in bfloat16 oneDNN's backward pass for them takes 3 to 30 times as long.
    """
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for module in model.modules():
        if type(module) is nn.Conv2d and module.groups == module.in_channels > 1:
            module.__class__ = Float32Conv2d  # keeps weights, names and hooks


def keep_freed_memory() -> None:
    """Have glibc keep what was freed; a step allocates the same tensors as the one before it.

    Otherwise large tensors come from the kernel each time, and filling their pages took three
    tenths of a step. Nothing happens with another C library.
    """
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2 ** 31 - 1)
        mallopt(_M_TOP_PAD, _TOP_PAD)

"""Timestep-conditioned projection heads: from one clean map to those of all experts.

CleanDIFT's (Stracke et al. 2025), which D3-Predictor takes over; parameter names are those of its
published checkpoints. Needed in training only.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

WIDTH = 256
_HIDDEN = 3 * WIDTH
_EPS = 1e-6


class FourierTime(nn.Module):
    """Random Fourier features of a timestep in 0..1: (B,) -> (B, ``width``)."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.register_buffer('weight', torch.randn(width // 2, 1))

    def forward(self, time: torch.Tensor) -> torch.Tensor:
        """See the class."""
        angle = 2 * torch.pi * time.float().unsqueeze(1) @ self.weight.float().T
        return torch.cat([angle.cos(), angle.sin()], dim=1)


class RMSNorm(nn.Module):
    """x / rms(x) * scale over the last dimension, computed in float32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return _rms_normalised(x, self.scale)


class AdaRMSNorm(nn.Module):
    """RMS normalisation of (B, N, D) whose scale, 1 at the start, follows a condition (B, C)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = _zero_linear(WIDTH, width)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return _rms_normalised(x, self.linear(condition).unsqueeze(1) + 1)


class FeedForward(nn.Module):
    """x + down(a * silu(b)) with a, b = up(norm(x)); nothing but x at the start."""

    def __init__(self, norm: nn.Module, width: int, hidden: int) -> None:
        super().__init__()
        self.norm = norm
        self.up_proj = nn.Linear(width, 2 * hidden, bias=False)
        self.down_proj = _zero_linear(hidden, width)

    def forward(self, x: torch.Tensor, *condition: torch.Tensor) -> torch.Tensor:
        """See the class."""
        value, gate = self.up_proj(self.norm(x, *condition)).chunk(2, dim=-1)
        return x + self.down_proj(value * F.silu(gate))


class Mapping256(nn.Module):
    """From a projected timestep (B, 256) to the condition of the adapters (B, 256)."""

    def __init__(self) -> None:
        super().__init__()
        self.in_norm, self.out_norm = RMSNorm(WIDTH), RMSNorm(WIDTH)
        self.blocks = nn.ModuleList(
            FeedForward(RMSNorm(WIDTH), WIDTH, _HIDDEN) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        x = self.in_norm(x)
        for block in self.blocks:
            x = block(x)
        return self.out_norm(x)


class Adapter(nn.Module):
    """Tokens (B, N, D) and a condition (B, 256) -> tokens; the identity at the start."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            FeedForward(AdaRMSNorm(width), width, width) for _ in range(3))

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """See the class."""
        for layer in self.layers:
            x = layer(x, condition)
        return x


class ProjectionHeads(nn.Module):
    """One adapter for each aligned map, all conditioned on the same timestep.

    ``forward``: maps by name, float (B, N, D) each, and timesteps (B,) in 0..999 -> projected maps
    by name.

    :param widths: name -> channels.
    """

    def __init__(self, widths: Mapping[str, int]) -> None:
        super().__init__()
        self.time_emb = FourierTime()
        self.time_in_proj = nn.Linear(WIDTH, WIDTH, bias=False)
        self.mapping = Mapping256()
        self.adapters = nn.ModuleDict({name: Adapter(width) for name, width in widths.items()})

    def forward(self, features: Mapping[str, torch.Tensor],
                timestep: torch.Tensor) -> dict[str, torch.Tensor]:
        """See the class."""
        condition = self.mapping(self.time_in_proj(self.time_emb(timestep / 999)))
        return {name: adapter(features[name], condition)
                for name, adapter in self.adapters.items()}


def _rms_normalised(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    wide = x.float()
    wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + _EPS)
    return (wide * scale.float()).to(x.dtype)


def _zero_linear(width_in: int, width_out: int) -> nn.Linear:
    linear = nn.Linear(width_in, width_out, bias=False)
    nn.init.zeros_(linear.weight)
    return linear

"""Axial attention with relative positions (Axial-DeepLab, as in kMaX-DeepLab's pixel decoder)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from dense_perception.models.polymax.layers import norm

_HIDDEN = 32  # of the MLP of positions


class OffsetTable(nn.Module):
    """An embedding for each offset between two of ``length`` positions.

    ``forward``: a number of positions n -> float (2 n - 1, channels), for offsets 1 - n .. n - 1.
    For another n than ``length`` it is interpolated: the largest offset stays the largest. So are
    weights of a model that was made for another image size, when they are loaded.
    """

    def __init__(self, length: int, channels: int) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.randn(2 * length - 1, channels) * channels ** -0.5)

    def forward(self, length: int) -> torch.Tensor:
        """See the class."""
        return _resampled(self.pos_embed, 2 * length - 1)

    def _load_from_state_dict(self, state_dict: dict[str, torch.Tensor], prefix: str,
                              *others: object) -> None:
        key = f'{prefix}pos_embed'
        if key in state_dict:
            state_dict[key] = _resampled(state_dict[key], len(self.pos_embed))
        super()._load_from_state_dict(state_dict, prefix, *others)


def _resampled(table: torch.Tensor, count: int) -> torch.Tensor:
    """Embeddings, float (n, channels), at ``count`` places from the first to the last."""
    if count == len(table):
        return table
    return F.interpolate(table.t().unsqueeze(0), size=count, mode='linear',
                         align_corners=True)[0].t()


class OffsetMLP(nn.Module):
    """As :class:`OffsetTable`, from the signed logarithm of the offset: for any length."""

    def __init__(self, length: int, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(1, _HIDDEN)
        self.fc2 = nn.Linear(_HIDDEN, channels)

    def forward(self, length: int) -> torch.Tensor:
        """See the class."""
        offset = torch.arange(1 - length, length, dtype=self.fc1.weight.dtype,
                              device=self.fc1.weight.device)
        place = torch.sign(offset) * torch.log1p(offset.abs())
        return self.fc2(F.gelu(self.fc1(place.unsqueeze(1))))


class _Folded(nn.Module):
    """Embeddings that were computed for one length."""

    def __init__(self, values: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer('values', values)

    def forward(self, length: int) -> torch.Tensor:
        return self.values


OFFSETS: dict[str, type[nn.Module]] = {'table': OffsetTable, 'mlp': OffsetMLP}


class AxialAttention(nn.Module):
    """Self-attention among the pixels of each column, or of each row.

    ``forward``: float (B, channels, H, W) -> (B, 2 ``dim``, H, W). Queries and keys have ``dim``
    channels, values twice as many. With an embedding r of the offset, the logits are
    q k + q r_q + k r_k, each term normalised by itself, without a factor 1/sqrt(d); what is read
    is the values and, normalised by itself, r_v.

    :param axis: 2 = along columns, 3 = along rows.
    :param positions: one of ``config.POSITIONS``; ``length``: for which number of them.
    """

    def __init__(self, channels: int, dim: int, heads: int, axis: int, positions: str,
                 length: int) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f'{dim} channels cannot be shared by {heads} attention heads')
        self.dim, self.heads, self.axis = dim, heads, axis
        self.qkv = nn.Conv2d(channels, 4 * dim, 1, bias=False)
        self.qkv_norm = norm(4 * dim)
        self.offsets = None
        if positions != 'none':
            self.offsets = OFFSETS[positions](length, 4 * dim // heads)
        terms = 1 if self.offsets is None else 3
        self.logits_norm = norm(terms * heads)
        self.norm = norm((terms + 1) // 2 * 2 * dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        batch = len(x)
        lines = self.qkv_norm(self.qkv(x)).permute(
            (0, 3, 1, 2) if self.axis == 2 else (0, 2, 1, 3)).flatten(0, 1)
        read = self._read(lines).unflatten(0, (batch, -1))
        return F.gelu(read.permute((0, 2, 3, 1) if self.axis == 2 else (0, 2, 1, 3)))

    def fold(self, length: int) -> None:
        """Compute the embeddings of one length once; in place, for export."""
        if self.offsets is not None:
            with torch.no_grad():
                self.offsets = _Folded(self.offsets(length).clone())

    def _read(self, lines: torch.Tensor) -> torch.Tensor:
        """Float (lines, 4 ``dim``, length) -> what each position reads, (.., 2 ``dim``, ..)."""
        queries, keys, values = (
            part.unflatten(1, (self.heads, -1)).transpose(2, 3)
            for part in lines.split((self.dim, self.dim, 2 * self.dim), dim=1))
        logits = queries @ keys.transpose(2, 3)
        if self.offsets is None:
            weights = self.logits_norm(logits).softmax(3)
            return self.norm(_joined(weights @ values)).squeeze(3)
        r_q, r_k, r_v = self._embeddings(lines.shape[2], values.shape[3])
        terms = torch.cat([logits, _per_position(queries, r_q.transpose(1, 2)),
                           _per_position(keys, r_k.permute(1, 2, 0)).transpose(2, 3)], dim=1)
        weights = self.logits_norm(terms).unflatten(1, (3, self.heads)).sum(1).softmax(3)
        read = torch.cat([_joined(weights @ values), _joined(_per_position(weights, r_v))], dim=1)
        return self.norm(read).unflatten(1, (2, -1)).sum(1).squeeze(3)

    def _embeddings(self, length: int, channels: int) -> tuple[torch.Tensor, ...]:
        """Embeddings r[i, j] of position j as position i sees it: (length, length, channels)."""
        table = self.offsets(length)
        place = torch.arange(length, device=table.device)
        offset = place.unsqueeze(0) - place.unsqueeze(1)
        return table[offset + length - 1].split((channels // 2, channels // 2, channels), dim=2)


def _per_position(x: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Multiply each position by a matrix of its own.

    Float (lines, heads, length, a) and (length, a, b) -> (lines, heads, length, b).
    """
    # Not as one product of all lines and heads: onnxscript takes "reshape, multiply, reshape" for
    # a broadcast, which on square maps is another product of the same shape.
    return (x.permute(2, 0, 1, 3) @ matrices.unsqueeze(1)).permute(1, 2, 0, 3)


def _joined(heads: torch.Tensor) -> torch.Tensor:
    """Float (lines, heads, length, channels) -> (lines, heads * channels, length, 1)."""
    return heads.transpose(2, 3).flatten(1, 2).unsqueeze(3)

"""Losses of the mount-aware depth and segmentation recipe."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from dense_perception.inference.card import UNLABELLED

GRADIENT_SCALES = 4
_RELATIVE_ANCHOR = 0.1


def log_height_depth_loss(predicted: torch.Tensor, depth: torch.Tensor,
                          camera_height: torch.Tensor, known: torch.Tensor,
                          far: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Error of the height-normalised log depth, ``log(z / h)``.

    Where the mount is known the error itself counts; where it is not, scale cannot be known, and
    the error is taken after removing its median (with a little of the raw error, so that the
    scale stays that of a typical camera).

    :param predicted: float (B, H, W), log(z / h).
    :param depth: float (B, H, W) metres, NaN unknown.
    :param camera_height: float (B,) metres. :param known: float (B,), 1 = mount given.
    :returns: L1 loss and multi-scale gradient loss (scale-invariant by itself), scalars.
    """
    valid = torch.isfinite(depth) & (depth > 0.05) & (depth < far)
    target = torch.log(torch.where(valid, depth, 1.0) / camera_height.view(-1, 1, 1))
    error = torch.where(valid, predicted - target, 0.0)
    count = valid.sum(dim=(1, 2)).clamp(min=1)
    offset = _masked_median(error.detach(), valid)
    raw = error.abs().sum(dim=(1, 2)) / count
    aligned = torch.where(valid, error - offset.view(-1, 1, 1), 0.0).abs().sum(dim=(1, 2)) / count
    relative = (1 - _RELATIVE_ANCHOR) * aligned + _RELATIVE_ANCHOR * raw
    return torch.where(known > 0, raw, relative).mean(), _gradient_loss(error, valid)


def _masked_median(values: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    flat = torch.where(valid, values, float('nan')).flatten(1)
    return torch.nan_to_num(flat.nanmedian(dim=1).values)


def _gradient_loss(error: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Multi-scale gradient matching (MiDaS): differences of the error at strides 1, 2, 4, 8."""
    total = error.new_zeros(())
    for scale in range(GRADIENT_SCALES):
        step = 2 ** scale
        e, m = error[:, ::step, ::step], valid[:, ::step, ::step]
        for axis in (1, 2):
            n = e.shape[axis] - 1
            both = m.narrow(axis, 1, n) & m.narrow(axis, 0, n)
            total = total + (e.diff(dim=axis).abs() * both).sum() / both.sum().clamp(min=1)
    return total / GRADIENT_SCALES


def segmentation_loss(logits: torch.Tensor, labels: torch.Tensor,
                      weights: torch.Tensor) -> torch.Tensor:
    """Weighted cross-entropy of logits (B, C, H, W) and int64 labels (B, H, W), ignore 255."""
    return F.cross_entropy(logits, labels, weights, ignore_index=UNLABELLED)

"""Depth losses. Truth is metric depth in metres; what counts is near < truth < far."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dense_perception_training.losses.base import (
    LossError,
    Tensors,
    masked_mean,
    register_loss,
    wanted,
)

KINDS = ('l1', 'l2', 'charbonnier')
SPACES = ('depth', 'log', 'disparity')
ALIGNMENTS = ('spread', 'least_squares')
_EPS = 1e-6


def depth_pair(outputs: Tensors, batch: Tensors, near: float, far: float,
               ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Prediction, truth (1 where invalid) and mask of valid truth, each (B, H, W)."""
    predicted = wanted(outputs, 'depth', 'model').float()
    truth = wanted(batch, 'depth', 'batch').float()
    if predicted.shape != truth.shape:
        raise LossError(f'predicted depth is {tuple(predicted.shape)}, truth '
                        f'{tuple(truth.shape)}; both must be (B, H, W)')
    valid = torch.isfinite(truth) & (truth > near) & (truth < far)
    return predicted, torch.where(valid, truth, 1.0), valid


def in_space(depth: torch.Tensor, space: str) -> torch.Tensor:
    """Metric depth as ``depth``, ``log`` depth or ``disparity`` (1 / depth)."""
    if space == 'depth':
        return depth
    depth = depth.clamp(min=_EPS)
    return torch.log(depth) if space == 'log' else 1 / depth


def unit_depth(truth: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Depth (B, H, W) from 0 at the 2 % quantile of each image's valid pixels to 1 at the 98 %.

    What lies beyond is clamped. It is what models of affine depth learn (Marigold, D3-Predictor).
    """
    mapped = []
    for image, mask in zip(truth, valid, strict=True):
        if not mask.any():
            mapped.append(torch.zeros_like(image))
            continue
        near, far = torch.quantile(image[mask], image.new_tensor([0.02, 0.98]))
        mapped.append(((image - near) / (far - near).clamp(min=_EPS)).clamp(0, 1))
    return torch.stack(mapped)


def require_space(space: str) -> None:
    """Refuse a space that :func:`in_space` does not know.

    :raises LossError: it does not.
    """
    _choose(space, SPACES, 'space')


def _choose(value: str, choices: tuple[str, ...], what: str) -> None:
    if value not in choices:
        raise LossError(f'{what} "{value}" is unknown; choose from {", ".join(choices)}')


@register_loss('silog')
@dataclass(frozen=True)
class SILog:
    """Scale-invariant logarithmic loss (Eigen 2014): scale * sqrt(mean e² - focus mean(e)²).

    e = ln(p + eps) - ln(t + eps), over all valid pixels of the batch. ``focus`` .85 and ``scale``
    10 are BTS's and BinsFormer's; .5 and 1 Depth Anything V2's; focus 1 is the plain variance.
    ``root`` False leaves the square root away, as ViP-DeepLab and kMaX-DeepLab have it.
    """

    focus: float = 0.85
    scale: float = 10.0
    eps: float = 1e-3
    near: float = 1e-3
    far: float = 80.0
    root: bool = True

    def __call__(self, outputs: Tensors, batch: Tensors) -> torch.Tensor:
        """See the class."""
        p, t, valid = depth_pair(outputs, batch, self.near, self.far)
        # Masked before the logarithm: where() passes NaN gradients of the branch not taken.
        p = torch.where(valid, p, 1.0).clamp(min=0)
        e = torch.log(p + self.eps) - torch.log(t + self.eps)
        mean = masked_mean(e, valid)
        # In this form rounding cannot make it negative; the floor keeps sqrt's gradient finite.
        variance = masked_mean((e - mean) ** 2, valid)
        value = variance + (1 - self.focus) * mean ** 2
        return self.scale * (torch.sqrt(value + 1e-10) if self.root else value)


@register_loss('relative_squared')
@dataclass(frozen=True)
class RelativeSquared:
    """sqrt(mean(((t - p) / t)²)), the companion of SILog in kMaX-style depth."""

    near: float = 1e-3
    far: float = 80.0

    def __call__(self, outputs: Tensors, batch: Tensors) -> torch.Tensor:
        """See the class."""
        p, t, valid = depth_pair(outputs, batch, self.near, self.far)
        p = torch.where(valid, p, 1.0)
        return torch.sqrt(masked_mean(((t - p) / t) ** 2, valid) + 1e-10)


@register_loss('depth_regression')
@dataclass(frozen=True)
class DepthRegression:
    """Mean of |e|, e² or Charbonnier's sqrt((e / c)² + 1) - 1, with e in a chosen space.

    ``space`` unit: the truth as :func:`unit_depth`, the prediction as it is.
    """

    kind: str = 'l1'
    space: str = 'depth'
    c: float = 1.0
    near: float = 1e-3
    far: float = 80.0

    def __post_init__(self) -> None:
        _choose(self.kind, KINDS, 'kind')
        _choose(self.space, (*SPACES, 'unit'), 'space')

    def __call__(self, outputs: Tensors, batch: Tensors) -> torch.Tensor:
        """See the class."""
        p, t, valid = depth_pair(outputs, batch, self.near, self.far)
        p = torch.where(valid, p, 1.0)
        e = (p - unit_depth(t, valid) if self.space == 'unit'
             else in_space(p, self.space) - in_space(t, self.space))
        if self.kind == 'l1':
            return masked_mean(e.abs(), valid)
        if self.kind == 'l2':
            return masked_mean(e ** 2, valid)
        return masked_mean(torch.sqrt((e / self.c) ** 2 + 1) - 1, valid)


@register_loss('affine_invariant_l1')
@dataclass(frozen=True)
class AffineInvariantL1:
    """Scale-and-shift-invariant trimmed L1 (MiDaS), image by image.

    ``alignment`` spread: x' = (x - median) / mean|x - median| for prediction and truth, then
    1 / 2M times the sum of the smallest 1 - ``trim`` of |p' - t'|. ``least_squares``: the
    prediction is brought to the truth by scale and shift, and 1 / M times that sum is in the
    truth's unit (MiDaS's other variant, D3-Predictor); 0 where no scale can be found. ``space`` is
    that of the truth; the prediction is taken as it is (disparity for the relative DPT models).
    """

    trim: float = 0.2
    alignment: str = 'spread'
    space: str = 'disparity'
    near: float = 1e-3
    far: float = 80.0

    def __post_init__(self) -> None:
        require_space(self.space)
        _choose(self.alignment, ALIGNMENTS, 'alignment')

    def __call__(self, outputs: Tensors, batch: Tensors) -> torch.Tensor:
        """See the class."""
        p, t, valid = depth_pair(outputs, batch, self.near, self.far)
        total = (p * 0).sum()
        spread = self.alignment == 'spread'
        for image, truth, mask in zip(p, in_space(t, self.space), valid, strict=True):
            if int(mask.sum()) < 2:
                continue
            error = (_aligned(image[mask]) - _aligned(truth[mask]) if spread
                     else _residual(image[mask], truth[mask])).abs()
            kept = error.sort().values[:max(1, int(len(error) * (1 - self.trim)))]
            total = total + kept.sum() / ((2 if spread else 1) * len(error))
        return total / len(p)


@register_loss('gradient_matching')
@dataclass(frozen=True)
class GradientMatching:
    """Multi-scale gradient matching: differences of the residual at strides 1, 2, 4, ...

    Residual R = p - t in ``space``; ``aligned`` removes scale and shift of each first (MiDaS),
    with the prediction taken as it is. Per scale (1 / M) sum |dx R| + |dy R|, M the valid pixels.
    """

    scales: int = 4
    space: str = 'log'
    aligned: bool = False
    near: float = 1e-3
    far: float = 80.0

    def __post_init__(self) -> None:
        require_space(self.space)

    def __call__(self, outputs: Tensors, batch: Tensors) -> torch.Tensor:
        """See the class."""
        p, t, valid = depth_pair(outputs, batch, self.near, self.far)
        truth = in_space(t, self.space)
        if self.aligned:
            p, truth = (torch.stack([_align_where(x, m) for x, m in zip(v, valid, strict=True)])
                        for v in (p, truth))
        else:
            p = in_space(torch.where(valid, p, 1.0), self.space)
        return multi_scale_gradient(torch.where(valid, p - truth, 0.0), valid, self.scales)


@register_loss('log_gradient')
@dataclass(frozen=True)
class LogGradient:
    """Mean |d| of log(1 + p) - log(1 + t) over pixels ``step`` apart, both ways, in one pool.

    D3-Predictor's gradient loss: the truth as :func:`unit_depth`, the prediction as it is.
    """

    step: int = 2
    near: float = 1e-3
    far: float = 80.0

    def __call__(self, outputs: Tensors, batch: Tensors) -> torch.Tensor:
        """See the class."""
        p, t, valid = depth_pair(outputs, batch, self.near, self.far)
        error = torch.log1p(p.clamp(min=0)) - torch.log1p(unit_depth(t, valid))
        steps, both = [], []
        for axis in (1, 2):
            n = error.shape[axis] - self.step
            steps.append((error.narrow(axis, self.step, n) - error.narrow(axis, 0, n)).flatten())
            both.append((valid.narrow(axis, self.step, n) & valid.narrow(axis, 0, n)).flatten())
        return masked_mean(torch.cat(steps).abs(), torch.cat(both))


@register_loss('height_normalised_log')
@dataclass(frozen=True)
class HeightNormalisedLog:
    """L1 of the height-normalised log depth, ``log(z / h)``, for models with mount channels.

    Where the mount is known (``known`` = 1) the error itself counts. Where it is not, scale cannot
    be known: the error is taken after removing its median, with a share ``anchor`` of the raw
    error, so that the scale stays that of a typical camera. ``gradient``: weight of the
    multi-scale gradient of the same error. The batch needs ``true_height`` (metres, of the truth),
    ``camera_height`` (as the network was told) and ``known``.
    """

    gradient: float = 0.3
    anchor: float = 0.1
    scales: int = 4
    near: float = 0.05
    far: float = 80.0

    def __call__(self, outputs: Tensors, batch: Tensors) -> torch.Tensor:
        """See the class."""
        predicted, depth, valid = depth_pair(outputs, batch, self.near, self.far)
        known = wanted(batch, 'known', 'batch')
        height = torch.where(known > 0, wanted(batch, 'camera_height', 'batch'),
                             wanted(batch, 'true_height', 'batch'))
        target = torch.log(depth / height.view(-1, 1, 1))
        error = torch.where(valid, predicted - target, 0.0)
        count = valid.sum(dim=(1, 2)).clamp(min=1)
        offset = _masked_median(error.detach(), valid).view(-1, 1, 1)
        raw = error.abs().sum(dim=(1, 2)) / count
        aligned = torch.where(valid, error - offset, 0.0).abs().sum(dim=(1, 2)) / count
        relative = (1 - self.anchor) * aligned + self.anchor * raw
        loss = torch.where(known > 0, raw, relative).mean()
        return loss + self.gradient * multi_scale_gradient(error, valid, self.scales) / self.scales


def multi_scale_gradient(error: torch.Tensor, valid: torch.Tensor, scales: int) -> torch.Tensor:
    """Sum over scales of the mean absolute difference of neighbours, both of them valid."""
    total = error.new_zeros(())
    for scale in range(scales):
        step = 2 ** scale
        e, m = error[:, ::step, ::step], valid[:, ::step, ::step]
        for axis in (1, 2):
            n = e.shape[axis] - 1
            both = m.narrow(axis, 1, n) & m.narrow(axis, 0, n)
            total = total + masked_mean(e.diff(dim=axis).abs(), both)
    return total


def _aligned(values: torch.Tensor) -> torch.Tensor:
    centred = values - values.median()
    return centred / centred.abs().mean().clamp(min=_EPS)


def _residual(values: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """What is left of the truth after the best scale and shift of the values; 0 without one."""
    values, truth = values - values.mean(), truth - truth.mean()
    variance = values.square().mean()
    if variance * len(values) ** 2 <= _EPS:
        return values * 0
    return (values * truth).mean() / variance * values - truth


def _align_where(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    if not mask.any():
        return values * 0
    centred = values - values[mask].median()
    return centred / centred[mask].abs().mean().clamp(min=_EPS)


def _masked_median(values: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    flat = torch.where(valid, values, float('nan')).flatten(1)
    return torch.nan_to_num(flat.nanmedian(dim=1).values)

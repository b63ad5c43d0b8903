"""Accuracy of depth under a stated protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from dense_perception.metrics.alignment import ALIGNMENTS
from dense_perception.metrics.crops import CROPS, crop_window
from dense_perception.metrics.images import mean_of

Errors = Callable[[np.ndarray, np.ndarray], dict[str, float]]

_ALIGNMENT_OF = {'metric': 'none', 'affine': 'affine_depth', 'inverse_affine': 'affine_disparity'}


@dataclass(frozen=True)
class DepthProtocol:
    """What of an image counts, and what is done to a prediction before it is compared.

    ``near``, ``far``: metres; the truth counts strictly between them, predictions are clamped to
    them. ``crop``: one of ``crops.CROPS``, applied to the truth as given. ``alignment``: one of
    ``alignment.ALIGNMENTS``. ``missing``: what becomes of predictions that are not finite (or,
    unless they are aligned by an affine map, not positive): ``excluded`` leaves them out and tells
    their share as ``coverage``; ``clamped`` takes NaN and values below ``near`` for ``near``, and
    infinity for ``far``, as the published evaluation codes do.

    :raises ValueError: a limit, crop, alignment or rule that does not exist.
    """

    near: float = 1e-3
    far: float = np.inf
    crop: str = 'none'
    alignment: str = 'none'
    missing: str = 'excluded'

    def __post_init__(self) -> None:
        if not 0 < self.near < self.far:
            raise ValueError(f'depth limits {self.near}..{self.far} m must be 0 < near < far')
        for value, known, name in ((self.crop, CROPS, 'crop'),
                                   (self.alignment, ALIGNMENTS, 'alignment'),
                                   (self.missing, ('excluded', 'clamped'), 'missing')):
            if value not in known:
                raise ValueError(f'{name} "{value}" is none of {", ".join(known)}')

    def of_convention(self, convention: str) -> DepthProtocol:
        """The same protocol for a model of a card's depth convention.

        Metric depth is compared as it is, ``affine`` depth and ``inverse_affine`` disparity after
        the fit that they need.

        :raises ValueError: an unknown convention.
        """
        if convention not in _ALIGNMENT_OF:
            raise ValueError(f'depth convention "{convention}" is none of '
                             f'{", ".join(_ALIGNMENT_OF)}')
        return replace(self, alignment=_ALIGNMENT_OF[convention])


EVERYWHERE = DepthProtocol()
"""Every pixel with truth, whatever its distance; metres against metres."""


def depth_errors(p: np.ndarray, g: np.ndarray) -> dict[str, float]:
    """The usual metrics of predicted and true depths in metres, both float64 (N,) and positive.

    ``abs_rel`` = mean |p - g| / g; ``sq_rel`` = mean (p - g)^2 / g; ``rmse`` in metres;
    ``rmse_log`` = root mean square of e = ln p - ln g; ``log10`` = mean |log10 p - log10 g|;
    ``si_log`` = 100 sqrt(mean e^2 - (mean e)^2); ``d1``, ``d2``, ``d3`` = share with
    max(p/g, g/p) < 1.25, 1.25^2, 1.25^3.
    """
    ratio, log_error = np.maximum(p / g, g / p), np.log(p / g)
    return {'abs_rel': float(np.mean(np.abs(p - g) / g)),
            'sq_rel': float(np.mean((p - g) ** 2 / g)),
            'rmse': float(np.sqrt(np.mean((p - g) ** 2))),
            'rmse_log': float(np.sqrt(np.mean(log_error ** 2))),
            'log10': float(np.mean(np.abs(log_error)) / np.log(10)),
            'si_log': float(100 * np.std(log_error)),
            **{f'd{i}': float(np.mean(ratio < 1.25 ** i)) for i in (1, 2, 3)}}


def depth_error_variants(p: np.ndarray, g: np.ndarray) -> dict[str, float]:
    """Metrics that go by the same names as others: only to compare with those who use them.

    ``si_log_half`` = sqrt(mean e^2 - 0.5 (mean e)^2), without a factor of 100 (Depth Anything V2);
    ``sq_rel_squared`` = mean ((p - g) / g)^2 (deeplab2, KITTI's server, there in percent);
    ``irmse`` = root mean square of 1/p - 1/g in 1/km (KITTI's server).
    """
    e = np.log(p / g)
    return {'si_log_half': float(np.sqrt(np.mean(e ** 2) - 0.5 * np.mean(e) ** 2)),
            'sq_rel_squared': float(np.mean(((p - g) / g) ** 2)),
            'irmse': float(1e3 * np.sqrt(np.mean((1 / p - 1 / g) ** 2)))}


def depth_metrics(predicted: np.ndarray, truth: np.ndarray,
                  protocol: DepthProtocol = EVERYWHERE,
                  errors: Errors = depth_errors) -> dict[str, float] | None:
    """Depth metrics of one image.

    :param predicted: float (H, W): metres, or what the protocol's alignment takes.
    :param truth: float (H, W), metres; NaN, infinite or <= 0 = no truth.
    :param errors: :func:`depth_errors` or :func:`depth_error_variants`.
    :return: what ``errors`` gives, and ``coverage``: the share of the pixels with truth that have
        a prediction, so that a model that answers only where it is easy shows it; None if no
        pixel can be compared.
    :raises ValueError: the shapes differ, or the protocol's crop is not for this size.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f'prediction {predicted.shape} and truth {truth.shape} differ in shape')
    if protocol.crop != 'none':
        window = crop_window(protocol.crop, *truth.shape)
        predicted, truth = predicted[window], truth[window]
    counted = np.isfinite(truth) & (truth > protocol.near) & (truth < protocol.far)
    p, g = predicted[counted].astype(np.float64), truth[counted].astype(np.float64)
    present = np.isfinite(p)
    if not protocol.alignment.startswith('affine'):
        present &= p > 0
    excluded = protocol.missing == 'excluded'
    if not (present if excluded else counted).any():
        return None
    aligned = p[present]
    if len(aligned):
        aligned = ALIGNMENTS[protocol.alignment](aligned, g[present], protocol.far)
    if excluded:
        p, g = aligned, g[present]
    else:
        p = np.where(np.isposinf(p), protocol.far, protocol.near)
        p[present] = aligned
    p = np.clip(p, protocol.near, protocol.far)
    return {**errors(p, g), 'coverage': float(present.mean())}


class DepthAccuracy:
    """Depth metrics per image, then their mean over the images that could be compared.

    :param protocol: what counts. :param errors: see :func:`depth_metrics`.
    """

    def __init__(self, protocol: DepthProtocol = EVERYWHERE,
                 errors: Errors = depth_errors) -> None:
        self._protocol, self._errors = protocol, errors
        self._images: list[dict[str, float]] = []

    def add(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Take in one image; one without a comparable pixel is skipped."""
        metrics = depth_metrics(predicted, truth, self._protocol, self._errors)
        if metrics is not None:
            self._images.append(metrics)

    def __len__(self) -> int:
        """Return the number of images that could be compared."""
        return len(self._images)

    def result(self) -> dict[str, float] | None:
        """Mean of each metric over images; None if there was none."""
        return mean_of(self._images)

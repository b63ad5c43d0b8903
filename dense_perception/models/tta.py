"""Averages at test time: over mirrored images, over scales, over overlapping windows.

Each wraps a model, has a model's interface, and so may wrap another of them or be exported:
``FlipAverage(ScaleAverage(SlidingWindow(model)))`` is the multi-scale test of segmentation papers.

**What is averaged.** ``depth``: its values, as the model gives them; for xNet's ``log_height``
that is the logarithm. ``logits``: the probabilities, softmax over the classes; the result is their
logarithm, so that a softmax gives the averaged probabilities back. ``normals``: unit vectors, and
the mean is made one again. ``alpha``: its values. Depth that is only relative has another scale in
every size and window: only :class:`FlipAverage` is of use there.

**Mount channels** are images of where the ground would be (``models.inputs``), so what mirrors,
crops or resizes the input makes them those of the mirrored, cropped or resized camera.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import nn

PAPER_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
_LEAST = 1e-12  # of a probability; its logarithm stays finite

Outputs = dict[str, torch.Tensor]

# Output -> what of it is averaged, and what the mean is turned into.
_MEANS: dict[str, tuple[Callable[..., torch.Tensor], Callable[..., torch.Tensor]]] = {
    'depth': (lambda depth: depth, lambda mean: mean),
    'alpha': (lambda alpha: alpha, lambda mean: mean),
    'logits': (lambda logits: logits.softmax(dim=1), lambda mean: mean.clamp(min=_LEAST).log()),
    'normals': (F.normalize, F.normalize)}  # over the channels


class _Average(nn.Module):
    """A model around a model.

    ``forward``: float (B, C, H, W) -> dict with ``depth`` and ``alpha`` (B, H, W),
    ``logits`` (B, num_classes, H, W) and ``normals`` (B, 3, H, W), those that the inner model
    gives.

    :param model: takes float (B, C, H, W), returns such a dict of its own input's size.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.in_chans: int = getattr(model, 'in_chans', 3)

    def fold_for_inference(self, height: int, width: int) -> None:
        """Precompute what one input size and fixed weights allow; in place, for export."""
        if hasattr(self.model, 'fold_for_inference'):
            self.model.fold_for_inference(height, width)


class FlipAverage(_Average):
    """Mean over an image and its mirror image."""

    def forward(self, x: torch.Tensor) -> Outputs:
        """See the class.

        :raises ValueError: the model has an output that cannot be averaged.
        """
        seen, mirrored = _to_mean(self.model(x)), _to_mean(self.model(x.flip(-1)))
        return _from_mean({k: (seen[k] + _mirrored(k, mirrored[k])) / 2 for k in seen})


class ScaleAverage(_Average):
    """Mean over resized images; what they give is resized back, bilinear, logits before softmax.

    :param scales: factors of both sides.
    :param multiple: the scaled sides are rounded to multiples of it; 1.0 leaves the image alone.
    :raises ValueError: no scale, one that is not positive, or no positive multiple.
    """

    def __init__(self, model: nn.Module, scales: Sequence[float] = PAPER_SCALES,
                 multiple: int = 32) -> None:
        super().__init__(model)
        if not scales or min(scales) <= 0 or multiple < 1:
            raise ValueError(f'scales {tuple(scales)} and multiple {multiple} must be above 0, '
                             f'for example {PAPER_SCALES} and 32')
        self.scales, self.multiple = tuple(scales), multiple

    def forward(self, x: torch.Tensor) -> Outputs:
        """See the class.

        :raises ValueError: the model has an output that cannot be averaged.
        """
        total: Outputs = {}
        for scale in self.scales:
            for name, value in _to_mean(self._at(x, scale)).items():
                total[name] = total.get(name, 0) + value / len(self.scales)
        return _from_mean(total)

    def fold_for_inference(self, height: int, width: int) -> None:
        """Nothing: the model sees several sizes, and is folded for one."""

    def scaled_size(self, height: int, width: int, scale: float) -> tuple[int, int]:
        """Size at which the model sees an image of height x width."""
        if scale == 1:
            return height, width
        rounded = (max(1, round(side * scale / self.multiple)) for side in (height, width))
        scaled_height, scaled_width = (self.multiple * steps for steps in rounded)
        return scaled_height, scaled_width

    def _at(self, x: torch.Tensor, scale: float) -> Outputs:
        size = tuple(x.shape[-2:])
        scaled = self.scaled_size(*size, scale)
        if scaled == size:
            return self.model(x)
        outputs = self.model(F.interpolate(x, size=scaled, mode='bilinear'))
        return {name: _resized(value, size) for name, value in outputs.items()}


class SlidingWindow(_Average):
    """Mean over overlapping windows, each seen alone; the last of a row or column moves inwards.

    An image with a side shorter than the window is seen whole along that side.

    :param window: (height, width) of what the model sees.
    :param stride: (vertical, horizontal) distance between windows, at most the window.
    :raises ValueError: a side or a stride is not positive, or windows would leave gaps.
    """

    def __init__(self, model: nn.Module, window: tuple[int, int] = (512, 512),
                 stride: tuple[int, int] = (341, 341)) -> None:
        super().__init__(model)
        if not all(0 < step <= side for step, side in zip(stride, window, strict=True)):
            raise ValueError(f'stride {tuple(stride)} must be above 0 and at most the window '
                             f'{tuple(window)}, for example 341 of 512')
        self.window, self.stride = tuple(window), tuple(stride)

    def forward(self, x: torch.Tensor) -> Outputs:
        """See the class.

        :raises ValueError: the model has an output that cannot be averaged.
        """
        rows, columns = x.shape[-2:]
        (tops, height), (lefts, width) = self.windows(rows, columns)
        total: Outputs = {}
        for top in tops:
            for left in lefts:
                window = x[..., top:top + height, left:left + width]
                margins = (left, columns - left - width, top, rows - top - height)
                for name, value in _to_mean(self.model(window)).items():
                    total[name] = total.get(name, 0) + F.pad(value, margins)
        times_seen = torch.outer(_times_seen(tops, height, x), _times_seen(lefts, width, x))
        return _from_mean({name: value / times_seen for name, value in total.items()})

    def fold_for_inference(self, height: int, width: int) -> None:
        """Precompute what the window's size and fixed weights allow; in place, for export."""
        super().fold_for_inference(*(side for _, side in self.windows(height, width)))

    def windows(self, height: int, width: int) -> list[tuple[list[int], int]]:
        """Of rows and of columns: where the windows begin, and their side."""
        sides = [min(side, window) for side, window in zip((height, width), self.window)]
        return [(_starts(size, side, step), side)
                for size, side, step in zip((height, width), sides, self.stride)]


def _starts(size: int, window: int, stride: int) -> list[int]:
    last = size - window
    return [*range(0, last, stride), last]


def _times_seen(starts: list[int], side: int, like: torch.Tensor) -> torch.Tensor:
    """By how many windows each row or column is seen, float (size,)."""
    seen = [sum(start <= index < start + side for start in starts)
            for index in range(starts[-1] + side)]
    return like.new_tensor(seen)


def _to_mean(outputs: Outputs) -> Outputs:
    """What may be averaged of a model's outputs.

    :raises ValueError: an output of which nobody has said how.
    """
    if unknown := sorted(outputs.keys() - _MEANS.keys()):
        raise ValueError(f'outputs {unknown} cannot be averaged; {", ".join(_MEANS)} can, of a '
                         'model in evaluation mode')
    return {name: _MEANS[name][0](value) for name, value in outputs.items()}


def _from_mean(means: Outputs) -> Outputs:
    return {name: _MEANS[name][1](value) for name, value in means.items()}


def _mirrored(name: str, value: torch.Tensor) -> torch.Tensor:
    flipped = value.flip(-1)
    if name != 'normals':
        return flipped
    x, y, z = flipped.split(1, dim=1)  # of the optical frame: x points to the right
    return torch.cat([-x, y, z], dim=1)


def _resized(value: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    """Bilinear, float (B, H, W) or (B, C, H, W)."""
    maps = value if value.ndim == 4 else value.unsqueeze(1)
    resized = F.interpolate(maps, size=size, mode='bilinear')
    return resized if value.ndim == 4 else resized.squeeze(1)

"""What a network sees: normalised RGB and, beside it, the mount channels.

The mount channels are what a robot knows of its camera, as an image.

``g(u, v) = ray . down`` (the ray's z = 1) tells where the ground would be: flat ground has depth
``height / g``. The second channel is the logarithm of that ground depth over the camera height,
``log(1/g)``, so that a flat floor needs no computing at all. Without a known mount both are 0,
which no known mount looks like: where g is 0 the second channel is far from 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

MOUNT_CHANNELS = 2
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
HALF_MEAN = HALF_STD = (0.5, 0.5, 0.5)
_FARTHEST = 50.0  # ground farther than this many camera heights looks like the horizon
_MEANS = (0.08, 0.92)  # of images; darker and brighter ones are helped no further
_EVERY = 4  # pixel, each way, that an image's mean is taken of
_ROUNDS = 3  # until the mean of the curve is that curve's
_SCALE = 0.25  # brings log(50) to about 1


@dataclass(frozen=True)
class InputSpec:
    """How a model wants its images; the card of its model files says the same.

    ``height``, ``width``: its usual size, and the one that MACs are counted at. ``multiple``: both
    sides of any other size must be multiples of it. ``resize``, ``interpolation``: as in
    ``inference.card.ModelCard``, with height and width as the target of the rule. ``mean``,
    ``std``: of RGB in 0..1. ``brightness``: see :func:`toned`; None leaves images as they are.
    """

    height: int
    width: int
    multiple: int = 32
    resize: str = 'stretch'
    interpolation: str = 'linear'
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    brightness: float | None = None


def mount_channels(intrinsics: torch.Tensor, gravity: torch.Tensor, known: torch.Tensor,
                   height: int, width: int) -> torch.Tensor:
    """Mount channels of a batch.

    :param intrinsics: float (B, 4): fx, fy, cx, cy in pixels of the height x width image.
    :param gravity: float (B, 3): unit vector along gravity in the optical frame.
    :param known: float (B,): 1 where the mount is known, else 0.
    :returns: float (B, 2, height, width).
    """
    def scalar(values: torch.Tensor) -> torch.Tensor:
        return values.view(-1, 1, 1)

    fx, fy, cx, cy = (scalar(v) for v in intrinsics.unbind(1))
    down_x, down_y, down_z = (scalar(v) for v in gravity.unbind(1))
    u = torch.arange(width, dtype=intrinsics.dtype, device=intrinsics.device).view(1, 1, -1)
    v = torch.arange(height, dtype=intrinsics.dtype, device=intrinsics.device).view(1, -1, 1)
    g = (u - cx) / fx * down_x + (v - cy) / fy * down_y + down_z
    ground = -torch.log(torch.clamp(g, min=1 / _FARTHEST)) * _SCALE
    return torch.stack([g, ground], dim=1) * known.view(-1, 1, 1, 1)


def normalised(image: torch.Tensor, mean: tuple[float, ...] = IMAGENET_MEAN,
               std: tuple[float, ...] = IMAGENET_STD,
               brightness: float | None = None) -> torch.Tensor:
    """uint8 (B, H, W, 3) RGB -> float (B, 3, H, W), zero mean and unit variance.

    :param brightness: of each image after :func:`toned`, before it is normalised.
    """
    offset, scale = (255 * torch.tensor(v, device=image.device).view(1, 3, 1, 1)
                     for v in (mean, std))
    # Float before permute: TensorRT for RTX refuses to transpose uint8.
    levels = image.float()
    if brightness is not None:
        levels = toned(levels, brightness)
    return (levels.permute(0, 3, 1, 2) - offset) / scale


def toned(levels: torch.Tensor, brightness: float) -> torch.Tensor:
    """Images by a tone curve that brings their mean to ``brightness``, as a camera would.

    ``y = x g / (1 + (g - 1) x)`` with one gain g for each image: black and white stay where they
    are, and a dim room is lifted without any value being cut off. Two such curves, one after the
    other, are one with the product of their gains, so a few rounds find it.

    :param levels: float (B, H, W, 3), 0..255.
    :param brightness: within 0 to 1.
    """
    def curve(levels: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
        return levels / (1 / gain + (1 - 1 / gain) / 255 * levels)

    def gain_for(mean: torch.Tensor) -> torch.Tensor:
        return brightness * (1 - mean) / (mean * (1 - brightness))

    most, least = (gain_for(torch.tensor(mean)).item() for mean in _MEANS)
    sample = levels[:, ::_EVERY, ::_EVERY]
    gain = torch.ones_like(levels[:, :1, :1, :1])
    for _ in range(_ROUNDS):
        mean = curve(sample, gain).mean(dim=(1, 2, 3), keepdim=True) / 255
        gain = (gain * gain_for(mean.clamp(1e-3, 1 - 1e-3))).clamp(least, most)
    return curve(levels, gain)


def with_mount(rgb: torch.Tensor, intrinsics: torch.Tensor, gravity: torch.Tensor,
               known: torch.Tensor) -> torch.Tensor:
    """Append the mount channels to float (B, 3, H, W); zeros where ``known`` is 0.

    Arguments as in :func:`mount_channels`; where the mount is unknown they may be anything.
    """
    safe = torch.where(known.view(-1, 1) > 0, intrinsics, 1.0)
    return torch.cat([rgb, mount_channels(safe, gravity, known, *rgb.shape[-2:])], dim=1)


def require_multiple(x: torch.Tensor, multiple: int) -> None:
    """Refuse an input whose height or width is not a multiple of ``multiple``.

    Asks nothing while a graph is captured: there the size is part of the export.

    :raises ValueError: it is not; the message proposes the next larger size.
    """
    if torch.compiler.is_compiling():
        return
    height, width = x.shape[-2:]
    if height % multiple or width % multiple:
        better = [-(-side // multiple) * multiple for side in (height, width)]
        raise ValueError(f'input of {height}x{width} is not a multiple of {multiple}; pad or '
                         f'resize to {better[0]}x{better[1]}')

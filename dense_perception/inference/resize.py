"""How an image gets to network size: the size that training would have chosen, and the pixels.

DPT and Depth Anything keep the aspect ratio: they scale an image to a target size and round both
sides to a multiple (the reference code of DPT, ``dpt/transforms.py``). A model file has one size,
so the rule is applied once, when it is exported for a camera.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from dense_perception.geometry.resampling import halved, halvings
from dense_perception.inference.card import ModelCard


def network_size(image_size: tuple[int, int], card: ModelCard) -> tuple[int, int]:
    """Network size of an image.

    ``stretch``: the card's input size, whatever the image. The other rules scale the image by one
    factor and round each side to the nearest multiple. ``minimal`` takes the factor nearer to 1
    of those that bring one side to the target; ``lower_bound`` covers the target, rounding up
    where it would be missed; ``upper_bound`` stays within it, rounding down likewise.

    >>> network_size((480, 640), card)    # minimal, target 384x384, multiples of 32
    (384, 512)

    :param image_size: (height, width) in pixels.
    :returns: (height, width).
    :raises ValueError: the image size is not positive.
    """
    if min(image_size) <= 0:
        raise ValueError(f'image size {image_size[1]}x{image_size[0]} is not positive')
    if card.resize_target is None:
        return card.input_size
    return size_by_rule(image_size, card.resize_target, card.resize, card.size_multiple)


def size_by_rule(image_size: tuple[int, int], target: tuple[int, int], rule: str,
                 multiple: int) -> tuple[int, int]:
    """Size that keeps the aspect ratio: ``minimal``, ``lower_bound`` or ``upper_bound``.

    See :func:`network_size`; sizes are (height, width).
    """
    factors = [wanted / side for side, wanted in zip(image_size, target)]
    if rule == 'minimal':
        vertical, horizontal = factors
        factor = horizontal if abs(1 - horizontal) < abs(1 - vertical) else vertical
    else:
        factor = max(factors) if rule == 'lower_bound' else min(factors)
    height, width = (_rounded(side * factor, wanted, rule, multiple)
                     for side, wanted in zip(image_size, target))
    return height, width


def resize_image(image: np.ndarray, height: int, width: int, interpolation: str,
                 out: np.ndarray | None = None) -> np.ndarray:
    """An image at another size, the same pixels on the robot as in training.

    :param image: uint8 or float32 (H, W) or (H, W, 3). :param interpolation: ``linear`` (every
        pixel counts, also when it shrinks) or ``cubic`` (four by four pixels, even to shrink, as
        the networks that ask for it were trained).
    :param out: where to write; such an array is made if it is None.
    """
    if interpolation == 'cubic':
        return cv2.resize(image, (width, height), dst=out, interpolation=cv2.INTER_CUBIC)
    image = halved(image, halvings(min(image.shape[1] / width, image.shape[0] / height)))
    return cv2.resize(image, (width, height), dst=out, interpolation=cv2.INTER_LINEAR)


def _rounded(side: float, target: int, rule: str, multiple: int) -> int:
    """The nearest multiple (a half goes to the even one) that keeps the bound; at least one."""
    result = round(side / multiple) * multiple
    if rule == 'lower_bound' and result < target:
        result = math.ceil(side / multiple) * multiple
    elif rule == 'upper_bound' and result > target:
        result = math.floor(side / multiple) * multiple
    return max(result, multiple)

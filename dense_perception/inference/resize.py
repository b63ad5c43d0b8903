"""The network size that a model's training would have chosen for an image, by the card's rule.

DPT and Depth Anything keep the aspect ratio: they scale an image to a target size and round both
sides to a multiple (the reference code of DPT, ``dpt/transforms.py``). A model file has one size,
so the rule is applied once, when it is exported for a camera.
"""

from __future__ import annotations

import math

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
    factors = [target / side for side, target in zip(image_size, card.resize_target)]
    if card.resize == 'minimal':
        vertical, horizontal = factors
        factor = horizontal if abs(1 - horizontal) < abs(1 - vertical) else vertical
    else:
        factor = max(factors) if card.resize == 'lower_bound' else min(factors)
    height, width = (_rounded(side * factor, target, card)
                     for side, target in zip(image_size, card.resize_target))
    return height, width


def _rounded(side: float, target: int, card: ModelCard) -> int:
    """The nearest multiple (a half goes to the even one) that keeps the bound; at least one."""
    multiple = card.size_multiple
    result = round(side / multiple) * multiple
    if card.resize == 'lower_bound' and result < target:
        result = math.ceil(side / multiple) * multiple
    elif card.resize == 'upper_bound' and result > target:
        result = math.floor(side / multiple) * multiple
    return max(result, multiple)

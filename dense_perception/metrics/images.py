"""Metrics per image, then their mean over images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def mean_of(images: Sequence[dict[str, float]]) -> dict[str, float] | None:
    """Mean of each metric over images, which all have the same metrics; None if there is none."""
    if not images:
        return None
    return {name: float(np.mean([image[name] for image in images])) for name in images[0]}

"""What a model says about one image."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Prediction:
    """Arrays at network resolution (H, W); an output the model does not have is None.

    ``depth``: float32, along the optical axis z; metres if ``metric`` else up to the ambiguity
    that the card's ``depth_convention`` names; NaN where unknown (sky, out of range).
    ``labels``: uint8 class ids. ``confidence``: uint8, round(255 * probability of the label).
    ``stage_ms``: milliseconds spent in ``resize``, ``inference``.
    """

    depth: np.ndarray | None
    labels: np.ndarray | None
    confidence: np.ndarray | None
    metric: bool
    stage_ms: dict[str, float] = field(default_factory=dict)

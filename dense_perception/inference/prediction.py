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
    ``normals``: float32 (H, W, 3), unit vectors that point out of the surface, towards the camera,
    in the optical frame (x right, y down, z forward: a floor's is (0, -1, 0) for a level camera);
    NaN where unknown. ``alpha``: float32, opacity of the foreground, 0..1. ``image``: uint8
    (H, W, 3) RGB as the network saw it. ``stage_ms``: milliseconds spent in ``resize``,
    ``inference``.
    """

    depth: np.ndarray | None
    labels: np.ndarray | None
    confidence: np.ndarray | None
    metric: bool
    normals: np.ndarray | None = None
    alpha: np.ndarray | None = None
    image: np.ndarray | None = None
    stage_ms: dict[str, float] = field(default_factory=dict)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The outputs there are, by name."""
        return {name: value for name, value in vars(self).items()
                if isinstance(value, np.ndarray) and name != 'image'}

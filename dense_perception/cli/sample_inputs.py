"""Inputs to try a model with."""

from __future__ import annotations

import numpy as np

from dense_perception.geometry.mount import Mount
from dense_perception.inference import card as names
from dense_perception.inference.card import ModelCard


def sample_inputs(card: ModelCard) -> dict[str, np.ndarray]:
    """One batch for the graph of a model: noise, and a plausible mount if it takes one."""
    height, width = card.input_size
    image = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    inputs = {names.INPUT_IMAGE: image}
    if card.takes_mount:
        mount = Mount.from_pitch_roll(0.2, 0.0, 0.8)
        inputs |= {
            names.INPUT_INTRINSICS: np.array([[width, width, width / 2, height / 2]], np.float32),
            names.INPUT_GRAVITY: np.array([mount.down], np.float32),
            names.INPUT_CAMERA_HEIGHT: np.array([mount.height], np.float32)}
    return inputs

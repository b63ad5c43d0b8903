"""Training samples from rendered shards: step number in, batch out, always the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dense_perception.inference.card import UNLABELLED
from dense_perception_training.batches import Batches, MountErrors
from dense_perception_training.datasets import Mixture, Part
from dense_perception_training.datasets.world import World
from dense_perception_training.shards import Shard, list_shards
from dense_perception_training.transforms import Chain, Exposure, Flip, Resize, ZoomCrop


@dataclass(frozen=True)
class Augmentation:
    """How samples vary. Angles in degrees, shares in 0..1.

    ``zoom``: the smallest share of the frame's width and height a random crop keeps.
    ``mount_dropped``: share of samples without the mount; ``mount_angle`` and ``mount_height``:
    standard deviations of the error in pitch and roll, and of the height's relative error.
    ``colour``: standard deviation of brightness, contrast and colour gains.
    """

    flip: float = 0.5
    zoom: float = 0.6
    mount_dropped: float = 0.25
    mount_angle: float = 0.7
    mount_height: float = 0.03
    colour: float = 0.12


class StepBatches(Batches):
    """Batches of the procedural world, all of one size; see :class:`Batches`.

    :param seed: the run's seed and the process's rank.
    :raises DatasetError: the folder holds no shards.
    """

    def __init__(self, folder: Path, batch: int, height: int, width: int, seed: tuple[int, int],
                 augmentation: Augmentation) -> None:
        a = augmentation
        transform = Chain((ZoomCrop(a.zoom), Resize(height, width), Flip(a.flip),
                           Exposure(a.colour)))
        super().__init__(Mixture([Part(World(folder), transform=transform)]), batch, seed,
                         MountErrors(a.mount_dropped, a.mount_angle, a.mount_height))


def class_weights(folder: Path, num_classes: int, power: float = 0.4) -> torch.Tensor:
    """Loss weight of each class: (1 / share of pixels) ** power, mean 1. float32 (C,)."""
    counts = np.zeros(num_classes)
    for path in list_shards(folder)[::4]:
        labels = Shard.open(path).labels[::6]
        counts += np.bincount(labels[labels != UNLABELLED], minlength=num_classes)
    weights = (counts.sum() / np.maximum(counts, 1)) ** power
    return torch.tensor(weights / weights.mean(), dtype=torch.float32)

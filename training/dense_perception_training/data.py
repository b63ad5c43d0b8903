"""Training samples from rendered shards: step number in, batch out, always the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from dense_perception.geometry.camera import Intrinsics
from dense_perception.inference.card import UNLABELLED
from dense_perception_training.shards import Shard, list_shards


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


class StepBatches(Dataset):
    """Item ``step`` is the batch of that training step.

    Each batch follows from (seed, rank, step) alone, so a resumed run sees what an unbroken one
    would. ``batch`` is the number of samples of one process.

    A batch: ``image`` uint8 (B, H, W, 3); ``depth`` float32 (B, H, W), NaN unknown; ``labels``
    int64 (B, H, W); ``intrinsics`` (B, 4), ``gravity`` (B, 3), ``camera_height`` (B,) as told to
    the network; ``true_height`` (B,); ``known`` (B,) 0 where the mount is withheld.

    :param seed: the run's seed and the process's rank.
    :raises ShardError: the folder holds no shards.
    """

    def __init__(self, folder: Path, batch: int, height: int, width: int, seed: tuple[int, int],
                 augmentation: Augmentation) -> None:
        self._shards = [Shard.open(p) for p in list_shards(folder)]
        self._starts = np.cumsum([0] + [len(s) for s in self._shards])
        self._batch, self._height, self._width = batch, height, width
        self._seed, self._augmentation = seed, augmentation

    @property
    def frames(self) -> int:
        """Number of different frames."""
        return int(self._starts[-1])

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng([*self._seed, step])
        samples = [self._sample(int(i), rng)
                   for i in rng.choice(self.frames, self._batch, replace=False)]
        return {key: torch.from_numpy(np.stack([s[key] for s in samples])) for key in samples[0]}

    def _sample(self, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        shard = int(np.searchsorted(self._starts, index, side='right')) - 1
        at, frames = index - int(self._starts[shard]), self._shards[shard]
        image, depth, labels = frames.images[at], frames.depth[at], frames.labels[at]
        camera = frames.cameras[at].astype(np.float64)
        source_height, source_width = labels.shape
        k = Intrinsics(*camera[:4], source_width, source_height)
        down, true_height = camera[4:7], camera[7]
        keep = rng.uniform(self._augmentation.zoom, 1.0, 2)
        width, height = int(keep[0] * source_width), int(keep[1] * source_height)
        left = int(rng.integers(source_width - width + 1))
        top = int(rng.integers(source_height - height + 1))
        window = np.s_[top:top + height, left:left + width]
        k = k.cropped(left, top, width, height).resized(self._width, self._height)
        size = (self._width, self._height)
        image = cv2.resize(image[window], size, interpolation=cv2.INTER_AREA)
        # Depth and labels are sampled, never averaged: a mean across an edge is no surface.
        depth = cv2.resize(depth[window].astype(np.float32), size,
                           interpolation=cv2.INTER_NEAREST_EXACT)
        labels = cv2.resize(labels[window], size, interpolation=cv2.INTER_NEAREST_EXACT)
        if rng.random() < self._augmentation.flip:
            image, depth, labels = image[:, ::-1], depth[:, ::-1], labels[:, ::-1]
            k = Intrinsics(k.fx, k.fy, k.width - 1 - k.cx, k.cy, k.width, k.height)
            down = down * [-1, 1, 1]
        return {'image': _recolour(image, rng, self._augmentation.colour),
                'depth': np.ascontiguousarray(depth), 'labels': labels.astype(np.int64),
                'true_height': np.float32(true_height),
                **self._told(k, down, true_height, rng)}

    def _told(self, k: Intrinsics, down: np.ndarray, height: float,
              rng: np.random.Generator) -> dict[str, np.ndarray]:
        """What the network is told of the mount: the truth with a robot's errors, or nothing."""
        augmentation = self._augmentation
        known = rng.random() >= augmentation.mount_dropped
        tilt = np.radians(augmentation.mount_angle) * rng.standard_normal(3)
        down = down + np.cross(tilt, down)
        height = height * np.exp(augmentation.mount_height * rng.standard_normal())
        return {'intrinsics': np.array([k.fx, k.fy, k.cx, k.cy], np.float32),
                'gravity': (down / np.linalg.norm(down)).astype(np.float32),
                'camera_height': np.float32(height), 'known': np.float32(known)}


def _recolour(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Random gain of every channel and offset; at times grey. uint8 in, uint8 out."""
    gain = np.exp(strength * (rng.standard_normal() + 0.3 * rng.standard_normal(3)))
    offset = 255 * 0.5 * strength * rng.standard_normal()
    out = np.clip(image * gain.astype(np.float32) + np.float32(offset), 0, 255)
    if rng.random() < 0.08:
        out = np.repeat(out.mean(axis=2, keepdims=True), 3, axis=2)
    return out.astype(np.uint8)


def class_weights(folder: Path, num_classes: int, power: float = 0.4) -> torch.Tensor:
    """Loss weight of each class: (1 / share of pixels) ** power, mean 1. float32 (C,)."""
    counts = np.zeros(num_classes)
    for path in list_shards(folder)[::4]:
        labels = Shard.open(path).labels[::6]
        counts += np.bincount(labels[labels != UNLABELLED], minlength=num_classes)
    weights = (counts.sum() / np.maximum(counts, 1)) ** power
    return torch.tensor(weights / weights.mean(), dtype=torch.float32)

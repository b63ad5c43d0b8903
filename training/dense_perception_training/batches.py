"""Batches of tensors: step number in, batch out, always the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from dense_perception_training.datasets.base import DatasetError
from dense_perception_training.datasets.mixture import Mixture
from dense_perception_training.sample import Sample
from dense_perception_training.transforms.base import UNKNOWN, generator

_MAPS = {'depth': ('depth', ()), 'segmentation': ('labels', ()), 'normals': ('normals', (3,)),
         'matting': ('alpha', ())}


@dataclass(frozen=True)
class MountErrors:
    """What a robot does not know exactly of its camera's mount.

    ``dropped``: share of samples without the mount; ``angle``: standard deviation of the error in
    pitch and roll, degrees; ``height``: that of the height's relative error.
    """

    dropped: float = 0.25
    angle: float = 0.7
    height: float = 0.03


class Batches(Dataset):
    """Item ``step`` is the batch of that training step.

    Each batch follows from (seed, step) alone, so a resumed run sees what an unbroken one would.

    A batch: ``image`` uint8 (B, H, W, 3). By the mixture's tasks: ``depth`` float32 (B, H, W), NaN
    unknown; ``labels`` int64 (B, H, W), 255 unknown; ``normals`` float32 (B, 3, H, W), NaN
    unknown; ``alpha`` float32 (B, H, W), NaN unknown. ``intrinsics`` float32 (B, 4): fx, fy, cx,
    cy, or 0 where the dataset has none. The mount as told to the network: ``gravity`` (B, 3),
    ``camera_height`` (B,) and ``known`` (B,), all 0 where it is withheld or not there.
    ``true_height`` (B,): 1 where the dataset does not have it. ``metric`` (B,): 1 where depth is
    in metres. ``part`` int64 (B,): number of the dataset. ``skipped`` int64 (): how many samples
    could not be used and were replaced.

    :param batch: number of samples of one process.
    :param seed: the run's seed and the process's rank.
    """

    def __init__(self, mixture: Mixture, batch: int, seed: tuple[int, ...],
                 mount: MountErrors = MountErrors()) -> None:
        self._mixture, self._batch, self._seed, self._mount = mixture, batch, seed, mount

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        """Return the batch of a step.

        :raises DatasetError: the transforms leave samples of different sizes.
        """
        skipped = self._mixture.skipped
        drawn = self._mixture.draw(self._batch, generator(*self._seed, step))
        rows = []
        for slot, (part, index) in enumerate(drawn):
            rng = generator(*self._seed, step, slot)
            sample = self._mixture.sample(part, index, rng)
            rows.append({**self._maps(sample), **self._told(sample, rng),
                         'metric': np.float32(self._mixture.metric[part]),
                         'part': np.int64(part)})
        _check_sizes(rows)
        batch = {key: torch.from_numpy(np.stack([row[key] for row in rows])) for key in rows[0]}
        return {**batch, 'skipped': torch.tensor(self._mixture.skipped - skipped)}

    def _maps(self, sample: Sample) -> dict[str, np.ndarray]:
        maps = {'image': sample.image}
        for task in self._mixture.tasks:
            name, channels = _MAPS[task]
            value = getattr(sample, name)
            if value is None:
                value = np.full((*sample.size, *channels), UNKNOWN[name], np.float32)
            maps[name] = value
        if 'labels' in maps:
            maps['labels'] = maps['labels'].astype(np.int64)
        if 'normals' in maps:
            maps['normals'] = np.ascontiguousarray(maps['normals'].transpose(2, 0, 1))
        return maps

    def _told(self, sample: Sample, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """What the network is told of the camera: the truth with a robot's errors, or nothing."""
        k, down, height = sample.intrinsics, sample.gravity, sample.camera_height
        withheld = rng.random() < self._mount.dropped
        tilt = np.radians(self._mount.angle) * rng.standard_normal(3)
        stretch = np.exp(self._mount.height * rng.standard_normal())
        known = not withheld and None not in (k, height) and down is not None
        if known:
            told = down + np.cross(tilt, down)
        pinhole = (k.fx, k.fy, k.cx, k.cy) if k else (0, 0, 0, 0)
        return {'intrinsics': np.array(pinhole, np.float32),
                'gravity': (told / np.linalg.norm(told) if known else np.zeros(3)
                            ).astype(np.float32),
                'camera_height': np.float32(height * stretch if known else 0),
                'known': np.float32(known),
                'true_height': np.float32(1 if height is None else height)}


def _check_sizes(rows: Sequence[dict[str, np.ndarray]]) -> None:
    sizes = sorted({row['image'].shape[:2] for row in rows})
    if len(sizes) > 1:
        raise DatasetError('the images of one batch have different sizes ('
                           + ', '.join(f'{w}x{h}' for h, w in sizes)
                           + "): let each dataset's transforms end with a crop or a resize")

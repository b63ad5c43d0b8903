"""Shards: folders of memory-mapped arrays that hold rendered frames."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dense_perception.world.renderer import WorldFrame

_ARRAYS = ('images', 'depth', 'labels', 'cameras')


class ShardError(ValueError):
    """A folder of frames that cannot be used; the message says what is missing."""


@dataclass(frozen=True)
class Shard:
    """Frames of one shard, memory-mapped.

    ``images`` uint8 (N, H, W, 3) RGB; ``depth`` float16 (N, H, W) metres, NaN unknown; ``labels``
    uint8 (N, H, W); ``cameras`` float32 (N, 8): fx, fy, cx, cy, down x, y, z, camera height.
    """

    images: np.ndarray
    depth: np.ndarray
    labels: np.ndarray
    cameras: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    @classmethod
    def open(cls, folder: Path) -> Shard:
        """Map a shard written by :func:`write_shard`.

        :raises ShardError: a file is missing or unreadable.
        """
        try:
            return cls(*(np.load(folder / f'{name}.npy', mmap_mode='r') for name in _ARRAYS))
        except (OSError, ValueError) as error:
            raise ShardError(f'shard {folder} cannot be read ({error}); render it again') from None


def write_shard(folder: Path, frames: Iterable[WorldFrame], provenance: dict) -> int:
    """Write frames as one shard; the folder appears whole or not at all. Returns their number."""
    partial = folder.with_name(f'{folder.name}.partial')
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    rows = list(frames)
    columns = {
        'images': np.stack([f.image for f in rows]),
        # Beyond float16 lies nothing that counts as depth.
        'depth': np.stack([np.where(f.depth < 6e4, f.depth, np.nan) for f in rows]
                          ).astype(np.float16),
        'labels': np.stack([f.labels for f in rows]),
        'cameras': np.array([[f.intrinsics.fx, f.intrinsics.fy, f.intrinsics.cx, f.intrinsics.cy,
                              *f.mount.down, f.mount.height] for f in rows], np.float32)}
    for name, column in columns.items():
        np.save(partial / f'{name}.npy', column)
    (partial / 'provenance.json').write_text(json.dumps(provenance, indent=1))
    os.replace(partial, folder)
    return len(rows)


def list_shards(folder: Path) -> list[Path]:
    """The complete shards below a folder, in order.

    :raises ShardError: there are none.
    """
    found = sorted(p.parent for p in folder.glob('*/provenance.json')
                   if p.parent.suffix != '.partial')
    if not found:
        raise ShardError(f'no rendered frames in {folder}: run '
                         f'"dense-perception-world --out {folder}" first')
    return found

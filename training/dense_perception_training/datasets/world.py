"""The procedural world, rendered by ``dense-perception-world``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.normals import normals_from_depth
from dense_perception.metrics import DepthProtocol
from dense_perception.world.classes import CLASSES
from dense_perception_training.datasets.base import DatasetInfo
from dense_perception_training.datasets.registry import register
from dense_perception_training.sample import Sample
from dense_perception_training.shards import Shard, ShardError, list_shards

INFO = DatasetInfo(
    name='world', tasks=('depth', 'segmentation', 'normals'), splits=(),
    home='"dense-perception-world --out FOLDER"',
    tree='<shard>/{images,depth,labels,cameras}.npy and provenance.json, for each shard',
    protocol=DepthProtocol(near=0.1, far=80.0), classes=CLASSES)


class World:
    """Frames of all shards below a folder; see :class:`Shard`.

    :param normals: also give normals, computed from the depth.
    """

    def __init__(self, root: Path, normals: bool = False) -> None:
        tasks = tuple(task for task in INFO.tasks if normals or task != 'normals')
        self.info = replace(INFO, tasks=tasks)
        try:
            self._folders = list_shards(root)
            self._shards: list[Shard] | None = [Shard.open(p) for p in self._folders]
        except ShardError as error:
            raise INFO.error(str(error)) from None
        self._starts = np.cumsum([0] + [len(s) for s in self._shards])

    def __getstate__(self) -> dict:
        # Pickled memory maps would travel as whole arrays.
        return {**self.__dict__, '_shards': None}

    def __len__(self) -> int:
        """Return the number of frames."""
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> Sample:
        """See :class:`DenseDataset`."""
        if not 0 <= index < len(self):
            raise IndexError(f'the world has frames 0..{len(self) - 1}, not {index}')
        if self._shards is None:
            self._shards = [Shard.open(p) for p in self._folders]
        at = int(np.searchsorted(self._starts, index, side='right')) - 1
        shard, row = self._shards[at], index - int(self._starts[at])
        camera = shard.cameras[row].astype(np.float64)
        height, width = shard.labels.shape[1:]
        depth = shard.depth[row].astype(np.float32)
        k = Intrinsics(*camera[:4], width, height)
        return Sample(
            np.array(shard.images[row]), f'{self._folders[at]} frame {row}', depth=depth,
            labels=np.array(shard.labels[row]), intrinsics=k, gravity=camera[4:7],
            normals=normals_from_depth(depth, k) if 'normals' in self.info.tasks else None,
            camera_height=float(camera[7])).checked(len(CLASSES))


@register(INFO)
def open_world(root: Path, normals: bool = False) -> World:
    """Open the shards below ``root``.

    :param normals: also give normals, computed from the depth.
    """
    return World(root, normals)

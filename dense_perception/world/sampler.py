"""Random training views: any frame can be made again from (seed, split)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from dense_perception.world.camera_model import Camera
from dense_perception.world.catalogue import Catalogue
from dense_perception.world.photographs import Photographs
from dense_perception.world.renderer import Renderer, WorldFrame
from dense_perception.world.scene import make_scene
from dense_perception.world.viewpoints import USUAL, Cameras

_SPLIT_ID = {'train': 0, 'held_out': 1}


def sample_frames(seed: int, split: str, views: int, renderer: Renderer, width: int,
                  height: int, kind: str | None = None,
                  catalogue: Catalogue | None = None, photographs: Photographs | None = None,
                  cameras: Cameras = USUAL) -> Iterator[WorldFrame]:
    """Frames of one random scene seen by ``views`` random cameras.

    :param seed: number of the scene within its split; the same arguments give the same frames.
    :param kind: see :func:`~dense_perception.world.scene.make_scene`, as ``catalogue``
        and ``photographs``.
    :param cameras: which cameras look at it.
    :raises ValueError: the kind or the split is unknown.
    """
    scene = make_scene([seed, _SPLIT_ID[split]], split, kind, catalogue, photographs)
    renderer.load(scene)
    rng = np.random.default_rng([seed, _SPLIT_ID[split], 1])
    for _ in range(views):
        for _ in range(4):  # a view that stares at a nearby surface teaches nothing
            frame = renderer.render(cameras.view(scene, rng),
                                    cameras.intrinsics(width, height, rng))
            if _worth_seeing(frame):
                break
        yield replace(frame, image=Camera.random(rng).expose(frame.image, rng))


def _worth_seeing(frame: WorldFrame) -> bool:
    """Neither against a surface, nor one surface that fills the view without anything on it."""
    near = np.nan_to_num(frame.depth, nan=99.0)
    return bool(np.median(near) > 0.55 and np.mean(near < 0.25) < 0.1
                and np.bincount(frame.labels.ravel()).max() < 0.97 * near.size)

"""A real model file that always sees one corridor: exact depth, classes, normals, a matte.

The camera hangs 1 m above the floor, pitched and rolled by :data:`MOUNT`. There is a wall on
either side, one at the end, a ceiling, and a box on the floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from helpers.plane_model import save_model
from onnx import TensorProto, helper, numpy_helper

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.mount import Mount
from dense_perception.inference import card as names

HEIGHT, WIDTH = 96, 128
CAMERA = Intrinsics(90.0, 90.0, 63.5, 47.5, WIDTH, HEIGHT)
"""At network size. The image may have any other, with the same field of view."""

MOUNT = Mount.from_pitch_roll(0.15, 0.1, 1.0)
CLASSES = (names.ClassInfo(0, 'Floor, flooring', (90, 90, 40)),
           names.ClassInfo(1, 'wall', (120, 120, 130)), names.ClassInfo(2, 'ceiling', (9, 9, 9)),
           names.ClassInfo(3, 'box', (200, 60, 20)))
FLOOR, WALL, CEILING, BOX = range(4)
EVERYTHING = (names.OUTPUT_DEPTH, names.OUTPUT_LABELS, names.OUTPUT_CONFIDENCE,
              names.OUTPUT_NORMALS, names.OUTPUT_ALPHA)


@dataclass(frozen=True)
class Scene:
    """Arrays at network size; ``normals`` (H, W, 3) point into the corridor, optical frame.

    ``alpha``: the box is the foreground.
    """

    depth: np.ndarray
    labels: np.ndarray
    confidence: np.ndarray
    normals: np.ndarray
    alpha: np.ndarray


def corridor() -> Scene:
    """The scene, without smears. Confidence grows from 0 in the left column to 254."""
    x, y = CAMERA.ray_slopes()
    rays = np.stack(np.broadcast_arrays(x[None], y[:, None], np.float32(1)), -1).astype(float)
    down = np.array(MOUNT.down)
    right = np.cross(down, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    ahead = np.cross(right, down)
    # (normal into the room, distance of the plane from the camera, class)
    planes = [(-down, 1.0, FLOOR), (down, 1.4, CEILING), (right, 1.5, WALL), (-right, 1.5, WALL),
              (-ahead, 7.0, WALL), (-ahead, 3.0, BOX)]
    best = np.full(rays.shape[:2], np.inf)
    labels = np.zeros(best.shape, np.uint8)
    normals = np.zeros(rays.shape)
    for normal, distance, name in planes:
        facing = rays @ normal
        depth = np.where(facing < -1e-6, distance / np.maximum(-facing, 1e-6), np.inf)
        points = rays * np.where(np.isfinite(depth), depth, 0)[..., None]
        if name == BOX:
            inside = (np.abs(points @ right) < 0.5) & (1 - points @ down < 0.8)
            depth = np.where(inside, depth, np.inf)
        nearer = depth < best
        best[nearer], labels[nearer], normals[nearer] = depth[nearer], name, normal
    confidence = np.tile(np.arange(WIDTH, dtype=np.uint8) * 2, (HEIGHT, 1))
    return Scene(best.astype(np.float32), labels, confidence, normals.astype(np.float32),
                 (labels == BOX).astype(np.float32))


def write_corridor_model(path: Path, outputs: tuple[str, ...] = EVERYTHING,
                         scene: Scene | None = None) -> Path:
    """Write a model that answers every image with the scene; its depth is metric by itself."""
    scene = scene or corridor()
    values = {names.OUTPUT_DEPTH: scene.depth, names.OUTPUT_LABELS: scene.labels,
              names.OUTPUT_CONFIDENCE: scene.confidence, names.OUTPUT_NORMALS: scene.normals,
              names.OUTPUT_ALPHA: scene.alpha}
    kinds = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.uint8): TensorProto.UINT8}
    constants = [numpy_helper.from_array(values[name][None], f'{name}_value') for name in outputs]
    graph = helper.make_graph(
        [helper.make_node('Identity', [f'{name}_value'], [name]) for name in outputs], 'corridor',
        [helper.make_tensor_value_info(names.INPUT_IMAGE, TensorProto.UINT8,
                                       [1, HEIGHT, WIDTH, 3])],
        [helper.make_tensor_value_info(name, kinds[values[name].dtype], [1, *values[name].shape])
         for name in outputs], constants)
    card = names.ModelCard(
        name='corridor', system='analytic', variant='test', tasks=('depth',),
        input_height=HEIGHT, input_width=WIDTH, size_multiple=1, outputs=outputs,
        depth_convention='metric' if names.OUTPUT_DEPTH in outputs else None,
        classes=CLASSES if names.OUTPUT_LABELS in outputs else ())
    return save_model(path, graph, card.to_json())

"""Hypersim: rendered rooms with distances, normals and NYU's 40 classes."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dense_perception.geometry.camera import Intrinsics
from dense_perception.inference.card import UNLABELLED
from dense_perception.inference.class_sets import class_set
from dense_perception.metrics import DepthProtocol
from dense_perception_training.datasets.base import DatasetError, DatasetInfo, Records
from dense_perception_training.datasets.listing import first_existing, probe
from dense_perception_training.datasets.reading import (
    along_rays,
    needed,
    read_hdf5,
    read_image,
    unit_normals,
)
from dense_perception_training.datasets.registry import register
from dense_perception_training.sample import Sample, SizeMismatchError, UnreadableFileError

_SPLITS = 'metadata_images_split_scene_v1.csv'
# 60 degrees across 1024 pixels. Scenes with a shifted lens differ; their deviation is not read.
_CAMERA = Intrinsics(886.81, 886.81, 511.5, 383.5, 1024, 768)
# From the renderer's camera (x right, y up, z back) to the optical frame.
_OPTICAL = np.array([1.0, -1, -1])

INFO = DatasetInfo(
    name='hypersim', tasks=('depth', 'segmentation', 'normals'), splits=('train', 'val', 'test'),
    home='https://github.com/apple/ml-hypersim', classes=class_set('nyu40'),
    protocol=DepthProtocol(near=1e-3, far=65.0),
    tree=f"""
{_SPLITS} (from the repository, evermotion_dataset/analysis)
ai_001_001/images/scene_cam_00_final_hdf5/frame.0000.color.hdf5
  (or, with image="preview", scene_cam_00_final_preview/frame.0000.tonemap.jpg)
ai_001_001/images/scene_cam_00_geometry_hdf5/frame.0000.depth_meters.hdf5: distance to the camera
  and frame.0000.{{render_entity_id,normal_cam,semantic}}.hdf5 as far as they are asked for
ai_001_001/_detail/cam_00/camera_keyframe_orientations.hdf5, for gravity; may be missing
(the scenes may also lie in scenes/)""")

_FILES = {'depth': 'depth_meters', 'segmentation': 'semantic', 'normals': 'normal_cam'}


@dataclass(frozen=True)
class _Frame:
    scene: Path
    camera: str
    number: int
    preview: bool
    tasks: tuple[str, ...]

    def image(self) -> Path:
        kind, name = ('preview', 'tonemap.jpg') if self.preview else ('hdf5', 'color.hdf5')
        return (self.scene / 'images' / f'scene_{self.camera}_final_{kind}'
                / f'frame.{self.number:04d}.{name}')

    def geometry(self, name: str) -> Path:
        return (self.scene / 'images' / f'scene_{self.camera}_geometry_hdf5'
                / f'frame.{self.number:04d}.{name}.hdf5')


@register(INFO)
def open_hypersim(root: Path, split: str, image: str = 'hdf5',
                  tasks: tuple[str, ...] = ('depth',)) -> Records:
    """Open the published frames of a split.

    :param image: ``hdf5``: the lossless colours, with the tone mapping of the authors' tool;
        ``preview``: the JPEG that this tool has made.
    :param tasks: the truths to read: ``depth``, ``segmentation``, ``normals``.
    """
    needed('h5py', INFO.name)
    if image not in ('hdf5', 'preview'):
        raise DatasetError(f'dataset "{INFO.name}": image "{image}" is neither hdf5 nor preview')
    if not tasks or not set(tasks) <= set(INFO.tasks):
        raise DatasetError(f'dataset "{INFO.name}" has the tasks {", ".join(INFO.tasks)}, not '
                           f'{", ".join(tasks) or "none"}')
    table = first_existing([root / _SPLITS, root / 'analysis' / _SPLITS], INFO, 'the split')
    scenes = root / 'scenes' if (root / 'scenes').is_dir() else root
    with table.open(newline='') as lines:
        frames = [_Frame(scenes / row['scene_name'], row['camera_name'], int(row['frame_id']),
                         image == 'preview', tuple(tasks))
                  for row in csv.DictReader(lines)
                  if row['split_partition_name'] == split
                  and row['included_in_public_release'] == 'True']
    if not frames:
        raise INFO.error(f'{table} has no frames of split "{split}"')
    probe([path for frame in frames
           for path in (frame.image(), *(frame.geometry(_FILES[t]) for t in tasks))], INFO)
    classes = INFO.classes if 'segmentation' in tasks else ()
    return Records(replace(INFO, tasks=tuple(tasks), classes=classes), frames, _read)


def _read(frame: _Frame) -> Sample:
    image = read_image(frame.image()) if frame.preview else tone_mapped(
        read_hdf5(frame.image()), read_hdf5(frame.geometry('render_entity_id')))
    if image.shape[:2] != (_CAMERA.height, _CAMERA.width):
        raise SizeMismatchError(f'{frame.image()} is {image.shape[1]}x{image.shape[0]}, '
                                'Hypersim is 1024x768')
    sample = Sample(image, str(frame.image()), intrinsics=_CAMERA, gravity=_gravity(frame))
    if 'depth' in frame.tasks:
        distance = read_hdf5(frame.geometry('depth_meters')).astype(np.float32)
        sample = replace(sample, depth=depth_along_z(distance))
    if 'segmentation' in frame.tasks:
        ids = read_hdf5(frame.geometry('semantic')).astype(np.int64)
        # 1..40; -1 is unlabelled. What is beyond becomes 254, which is refused as out of range.
        labels = np.where(ids > 0, np.minimum(ids - 1, UNLABELLED - 1), UNLABELLED)
        sample = replace(sample, labels=labels.astype(np.uint8))
    if 'normals' in frame.tasks:
        normals = read_hdf5(frame.geometry('normal_cam')).astype(np.float32)
        sample = replace(sample, normals=facing_camera(
            unit_normals(normals * _OPTICAL.astype(np.float32)), _CAMERA))
    return sample


def depth_along_z(distance: np.ndarray) -> np.ndarray:
    """Depth of points from their distance to the camera's centre: float32 (768, 1024)."""
    if distance.shape != (_CAMERA.height, _CAMERA.width):
        return distance  # the sample will be refused for its size
    x, y = _CAMERA.ray_slopes()
    depth = distance / np.sqrt(1 + x[None] ** 2 + y[:, None] ** 2)
    return np.where(np.isfinite(depth) & (depth > 0), depth, np.nan).astype(np.float32)


def facing_camera(normals: np.ndarray, k: Intrinsics) -> np.ndarray:
    """Normals turned round where they point away from the camera: what is seen faces it."""
    if normals.shape[:2] != (k.height, k.width):
        return normals  # the sample will be refused for its size
    return np.where(along_rays(normals, k)[..., None] > 0, -normals, normals)


def tone_mapped(colour: np.ndarray, entity: np.ndarray) -> np.ndarray:
    """Lossless colours (H, W, 3) as a picture: uint8, RGB.

    The authors' simple tone mapping: one gain, so that the 90th percentile of the brightness
    (0.3 R + 0.59 G + 0.11 B, over pixels that show something) becomes 0.8 after gamma 1/2.2.
    """
    colour = colour.astype(np.float32)
    shown, gain = entity != -1, 1.0
    if shown.any():
        brightness = (colour @ np.float32([0.3, 0.59, 0.11]))[shown]
        bright = float(np.percentile(brightness, 90))
        gain = 0.8 ** 2.2 / bright if bright >= 1e-4 else 0.0
    with np.errstate(invalid='ignore'):
        levels = np.nan_to_num(np.maximum(colour * np.float32(gain), 0)) ** np.float32(1 / 2.2)
    return (np.clip(levels, 0, 1) * 255).round().astype(np.uint8)


def _gravity(frame: _Frame) -> np.ndarray | None:
    path = frame.scene / '_detail' / frame.camera / 'camera_keyframe_orientations.hdf5'
    if not path.exists():
        return None
    to_world = read_hdf5(path)  # (frames, 3, 3); z of the world is up
    if frame.number >= len(to_world):
        raise UnreadableFileError(f'{path} has {len(to_world)} frames, not number {frame.number}')
    return to_world[frame.number].T @ np.array([0.0, 0, -1]) * _OPTICAL

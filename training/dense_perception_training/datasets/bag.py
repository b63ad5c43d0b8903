"""A robot's own recording: a ROS 2 bag of an RGB-D camera."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from dense_perception.inference.class_sets import numbered_classes
from dense_perception.inference.resize import resize_image
from dense_perception.metrics import DepthProtocol
from dense_perception.sources.base import Frame, Lens, SourceError
from dense_perception.sources.indexed_bag import IndexedBag
from dense_perception_training.datasets.base import DatasetError, DatasetInfo, Records
from dense_perception_training.datasets.registry import register
from dense_perception_training.sample import Sample, UnreadableFileError

_LOGGER = logging.getLogger(__name__)

INFO = DatasetInfo(
    name='bag', tasks=(), splits=(), home='"ros2 bag record" on your robot',
    tree="""
a rosbag2 folder (metadata.yaml), or one .mcap or .db3 file, with
sensor_msgs/Image or CompressedImage: colour, and depth registered to it (16UC1 mm or 32FC1 m)
sensor_msgs/CameraInfo of the colour camera; a mask (mono8 on a topic that ends in "mask") and
dense_perception_msgs/CameraMount as far as they were recorded""")


class _NoLens(Lens):
    """A bag without camera_info has no intrinsics: for training none is better than a guess."""

    def __init__(self) -> None:
        super().__init__(60.0, _LOGGER.warning)

    def intrinsics(self, width: int, height: int):
        return None


class _Frames:
    def __init__(self, path: Path) -> None:
        self._path, self._warned = path, False
        try:
            self.bag = IndexedBag(path, _NoLens(), _LOGGER.warning)
        except SourceError as error:
            raise INFO.error(str(error)) from None

    def read(self, time: int) -> Sample:
        source = f'{self._path} at {time}'
        try:
            frame: Frame = self.bag.frame_at(time)
        except SourceError as error:
            raise UnreadableFileError(str(error)) from None
        if frame.distortion is not None and not self._warned:
            self._warned = True
            _LOGGER.warning('bag %s: the lens distorts the image (%s) and is taken for a pinhole; '
                            'record rectified images', self._path, frame.distortion.model)
        image, k = frame.image, frame.intrinsics
        truth = frame.labels if frame.depth is None else frame.depth
        if truth is not None and truth.shape != image.shape[:2] and \
                truth.shape[0] * image.shape[1] == truth.shape[1] * image.shape[0]:
            image = resize_image(image, *truth.shape, 'linear')
            k = k and k.resized(truth.shape[1], truth.shape[0])
        mount = frame.mount
        return Sample(image, source, depth=frame.depth, labels=frame.labels, intrinsics=k,
                      gravity=None if mount is None else np.array(mount.down),
                      camera_height=None if mount is None else mount.height)


@register(INFO)
def open_bag(root: Path, every: int = 1, classes: Sequence[str] = (), near: float = 0.1,
             far: float = 10.0) -> Records:
    """Open the images of a bag that have depth or a mask.

    An image that is larger than its truth, but of the same shape, is brought to its size. Lens
    distortion is not removed: record rectified images, or rectify them first.

    :param every: take one of so many. :param classes: names, if the bag has masks.
    :param near, far: limits for evaluation: what the depth camera can measure.
    """
    frames = _Frames(root)
    tasks = tuple(task for kind, task in (('depth', 'depth'), ('labels', 'segmentation'))
                  if kind in frames.bag.kinds)
    if not frames.bag.times:
        raise INFO.error(f'{root} has no colour image with a depth or a mask of the same time')
    if 'segmentation' in tasks and not classes:
        raise DatasetError(f'dataset "{INFO.name}": {root} has masks; name their classes')
    info = replace(INFO, tasks=tasks, protocol=DepthProtocol(near, far),
                   classes=numbered_classes(list(classes)))
    return Records(info, frames.bag.times[::every], frames.read)

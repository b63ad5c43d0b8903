"""Clouds of depth that did not come from a model of ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from dense_perception.geometry.camera import Intrinsics
from dense_perception.inference import card as names
from dense_perception.inference.prediction import Prediction
from dense_perception.ros.camera import Camera
from dense_perception.ros.cloud_settings import CloudSettings
from dense_perception.ros.cloud_stage import Clouds, CloudStage, Wants, resized
from dense_perception.ros.depth_images import metres_from_image
from dense_perception.ros.encodings import ImageError
from dense_perception.ros.images import colour_from_image
from dense_perception.ros.mount import MountProvider
from dense_perception.ros.parameters import Parameters
from dense_perception_msgs.msg import SegmentationClasses

_SAME_SHAPE = 0.02


@dataclass(frozen=True)
class Parts:
    """Images that belong together; colour and mask show what the depth image shows."""

    depth: Image
    colour: Image | None = None
    mask: Image | None = None


class DepthClouds:
    """Builds clouds of depth images; says nothing where the intrinsics are unknown.

    :param lens: knows the intrinsics of the depth images.
    """

    def __init__(self, parameters: Parameters, lens: Camera, mounts: MountProvider) -> None:
        self._parameters = parameters
        self._lens = lens
        self._mounts = mounts
        self._stage = CloudStage(_card(()))

    def on_classes(self, msg: SegmentationClasses) -> None:
        """Take over what the values of the mask mean; without it only geometry tells ground."""
        self._stage = CloudStage(_card(tuple(
            names.ClassInfo(c.id, c.name, (0, 0, 0)) for c in msg.classes)))

    def build(self, parts: Parts, wants: Wants) -> Clouds:
        """The wanted clouds, overwritten by the next call.

        :raises ImageError: one of the images cannot be used, or shows something else than the
            depth image by its shape.
        """
        depth = metres_from_image(parts.depth)
        size = depth.shape
        image = _colours(parts.colour, size) if parts.colour else None
        labels = _labels(parts.mask, size) if parts.mask else None
        intrinsics = self._intrinsics(parts.depth.header, size)
        settings = CloudSettings.of(_WithoutConfidence(self._parameters))
        mount = self._mounts.read(parts.depth.header).mount if wants.split else None
        prediction = Prediction(depth, labels, None, True)
        stage = self._stage
        judgement = stage.judge(prediction, intrinsics, mount, wants, settings)
        return stage.build(judgement, prediction, image, intrinsics, wants, settings)

    def _intrinsics(self, header: Header, size: tuple[int, ...]) -> Intrinsics | None:
        height, width = size
        calibration = self._lens.calibration(header, width, height, (width, height))
        return calibration and calibration.intrinsics


class _WithoutConfidence:
    """Parameter values for depth that comes without confidence."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters

    def __getitem__(self, name: str) -> Any:
        return 0.0 if name == 'cloud.min_confidence' else self._parameters[name]


def _card(classes: tuple[names.ClassInfo, ...]) -> names.ModelCard:
    """What a model would say of itself that gave such depth and masks."""
    return names.ModelCard(
        name='point_cloud', system='external', variant='', tasks=('depth',), input_height=1,
        input_width=1, size_multiple=1, outputs=(names.OUTPUT_DEPTH,), depth_convention='metric',
        classes=classes)


def _colours(msg: Image, size: tuple[int, ...]) -> np.ndarray:
    pixels, order = colour_from_image(msg)
    _check_shape('image', pixels.shape, size)
    if pixels.shape[:2] != size:
        smaller = pixels.shape[0] > size[0]
        pixels = cv2.resize(pixels, size[::-1],
                            interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    elif order == 'rgb':
        return np.ascontiguousarray(pixels)
    return pixels if order == 'rgb' else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def _labels(msg: Image, size: tuple[int, ...]) -> np.ndarray:
    if msg.encoding not in ('mono8', '8UC1') or len(msg.data) < msg.step * msg.height \
            or not 0 < msg.width <= msg.step:
        raise ImageError(f'mask of {msg.width}x{msg.height} {msg.encoding} with {len(msg.data)} '
                         'bytes cannot be used; it must be mono8 and complete')
    pixels = np.ndarray((msg.height, msg.width), np.uint8, msg.data, strides=(msg.step, 1))
    _check_shape('mask', pixels.shape, size)
    labels = resized(pixels, (size[0], size[1]))
    return np.ascontiguousarray(labels)


def _check_shape(name: str, shape: tuple[int, ...], size: tuple[int, ...]) -> None:
    """Another resolution of one view is fine, another view is not."""
    across, down = shape[1] / size[1], shape[0] / size[0]
    if abs(across / down - 1) > _SAME_SHAPE:
        raise ImageError(f'{name} is {shape[1]}x{shape[0]} and depth {size[1]}x{size[0]}, which '
                         'cannot be one view; register one to the other first')

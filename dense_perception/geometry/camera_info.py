"""Intrinsics out of a CameraInfo, wherever the message comes from (rclpy or a bag)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dense_perception.geometry.camera import Intrinsics, IntrinsicsError


class CameraInfoError(ValueError):
    """A CameraInfo that does not describe the image; the message says why."""


class RegionOfInterest(Protocol):
    """The part of sensor_msgs/RegionOfInterest that matters here."""

    x_offset: int
    y_offset: int
    width: int
    height: int


class CameraInfo(Protocol):
    """The part of sensor_msgs/CameraInfo that matters here."""

    width: int
    height: int
    distortion_model: str
    d: Sequence[float]
    k: Sequence[float]
    p: Sequence[float]
    binning_x: int
    binning_y: int
    roi: RegionOfInterest


def intrinsics_from_info(info: CameraInfo, width: int, height: int, rectified: bool) -> Intrinsics:
    """Intrinsics of an image of ``width`` x ``height`` that comes with ``info``.

    A raw image is described by K, a rectified one by P (its left 3x3 part). K and P refer to the
    full sensor (CameraInfo.msg), so ``roi`` and then ``binning`` are applied.

    :raises CameraInfoError: K (P) is zero or not finite, or the size is not the image's.
    """
    name, matrix, (fx, cx, fy, cy) = ('P', info.p, (0, 2, 5, 6)) if rectified else (
        'K', info.k, (0, 2, 4, 5))
    if not np.any(matrix):
        raise CameraInfoError(f'camera_info has {name} of zeros: the camera is not calibrated')
    try:
        full = Intrinsics(float(matrix[fx]), float(matrix[fy]), float(matrix[cx]),
                          float(matrix[cy]), info.width, info.height)
    except IntrinsicsError as error:
        raise CameraInfoError(f'camera_info has an unusable {name}: {error}') from None
    roi = info.roi
    window = full.cropped(roi.x_offset, roi.y_offset, roi.width or full.width,
                          roi.height or full.height)
    found = (window.width // max(info.binning_x, 1), window.height // max(info.binning_y, 1))
    if found != (width, height):
        raise CameraInfoError(f'camera_info is for {found[0]}x{found[1]}, the image is '
                              f'{width}x{height}')
    return window.resized(width, height)


@dataclass(frozen=True)
class Distortion:
    """A lens model by ROS's name (``plumb_bob``, ``equidistant``, ...) and its coefficients."""

    model: str
    coefficients: tuple[float, ...]


def distortion_of(info: CameraInfo) -> Distortion | None:
    """The lens model of a camera; None if it moves no pixel."""
    if not np.any(np.asarray(info.d)):
        return None
    return Distortion(info.distortion_model, tuple(float(v) for v in info.d))

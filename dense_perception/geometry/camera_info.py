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
    r: Sequence[float]
    p: Sequence[float]
    binning_x: int
    binning_y: int
    roi: RegionOfInterest


def intrinsics_from_info(info: CameraInfo, width: int, height: int, rectified: bool) -> Intrinsics:
    """Intrinsics of an image of ``width`` x ``height`` that comes with ``info``.

    A raw image is described by K, a rectified one by P (its left 3x3 part). K and P refer to the
    full sensor (CameraInfo.msg), so ``roi`` and then ``binning`` are applied. ``roi.do_rectify``
    changes nothing: image_proc gives the rectified image the raw one's window too.

    :raises CameraInfoError: K (P) is zero or not finite, the region leaves the sensor, or the
        size is not the image's.
    """
    name, matrix, (fx, cx, fy, cy) = ('P', info.p, (0, 2, 5, 6)) if rectified else (
        'K', info.k, (0, 2, 4, 5))
    if not np.any(matrix):
        raise CameraInfoError(f'camera_info has {name} of zeros: the camera is not calibrated; '
                              'calibrate it and give the driver the result (camera_info_url)')
    try:
        full = Intrinsics(float(matrix[fx]), float(matrix[fy]), float(matrix[cx]),
                          float(matrix[cy]), info.width, info.height)
    except IntrinsicsError as error:
        raise CameraInfoError(f'camera_info has an unusable {name}: {error}') from None
    left, top, across, down = _window(info)
    bx, by = max(info.binning_x, 1), max(info.binning_y, 1)
    found = (across // bx, down // by)
    if found != (width, height):
        raise CameraInfoError(
            f'camera_info is for {found[0]}x{found[1]}{_explained(info)}, the image is '
            f'{width}x{height}; the driver must say roi and binning, or the camera_info of '
            'another image is remapped')
    # A row or column that fills no bin is not in the image.
    return full.cropped(left, top, width * bx, height * by).resized(width, height)


def _window(info: CameraInfo) -> tuple[int, int, int, int]:
    """Left, top, width and height of the region of interest on the sensor."""
    roi = info.roi
    window = (roi.x_offset, roi.y_offset, roi.width or info.width, roi.height or info.height)
    if window[0] + window[2] > info.width or window[1] + window[3] > info.height:
        raise CameraInfoError(
            f'camera_info has a roi of {window[2]}x{window[3]} at ({window[0]}, {window[1]}), '
            f'which leaves its {info.width}x{info.height} pixels; roi is given in pixels of the '
            'full, unbinned sensor')
    return window


def _explained(info: CameraInfo) -> str:
    """What made the size of the image another one than that of the sensor."""
    if info.binning_x <= 1 and info.binning_y <= 1 and not (info.roi.width or info.roi.height):
        return ''
    return (f' ({info.width}x{info.height}, roi {info.roi.width}x{info.roi.height}, binning '
            f'{info.binning_x}x{info.binning_y})')


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


def projection_of(info: CameraInfo) -> np.ndarray:
    """P, float64 (3, 4); [K | 0] if it is all zeros, as many drivers leave it."""
    p = np.array(info.p, np.float64).reshape(3, 4)
    return p if p.any() else np.column_stack([np.reshape(info.k, (3, 3)), np.zeros(3)])


def rotation_of(info: CameraInfo) -> np.ndarray:
    """R, float64 (3, 3), from the raw to the rectified frame; the identity if it is all zeros."""
    r = np.array(info.r, np.float64).reshape(3, 3)
    return r if r.any() else np.eye(3)

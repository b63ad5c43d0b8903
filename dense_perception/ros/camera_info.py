"""CameraInfo of a camera and of a resampled image."""

from __future__ import annotations

import copy

import numpy as np
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.camera_info import Distortion, projection_of, rotation_of


def info_from_intrinsics(intrinsics: Intrinsics, header: Header,
                         distortion: Distortion | None = None) -> CameraInfo:
    """CameraInfo of a camera: R the identity, P = [K | 0]; without ``distortion`` a pinhole."""
    lens = distortion or Distortion('plumb_bob', (0.0,) * 5)
    fx, fy, cx, cy = intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy
    return CameraInfo(
        header=header, width=intrinsics.width, height=intrinsics.height,
        distortion_model=lens.model, d=list(lens.coefficients),
        k=[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0])


def pinhole_info(info: CameraInfo, rectified: bool) -> CameraInfo:
    """CameraInfo without a lens: of the camera of the rectified image, or of the raw one.

    D is zeros and R the identity. K becomes the left part of P (``rectified``), or P becomes
    [K | 0]: who reads K and who reads P then sees the same camera. Where they agree already the
    rest of P stays, which holds a stereo baseline.
    """
    result = copy.deepcopy(info)
    k, p = np.reshape(info.k, (3, 3)), projection_of(info)
    if rectified:
        k = p[:, :3]
    elif not (np.allclose(p[:, :3], k) and np.allclose(rotation_of(info), np.eye(3))):
        p = np.column_stack([k, np.zeros(3)])
    result.k, result.p, result.r = k.ravel(), p.ravel(), np.eye(3).ravel()
    result.distortion_model, result.d = 'plumb_bob', [0.0] * 5
    return result


def resized_info(info: CameraInfo, image_size: tuple[int, int], width: int, height: int,
                 header: Header) -> CameraInfo:
    """CameraInfo of the image of ``info``, resampled to ``width`` x ``height``.

    K and P follow the half-pixel rule; D, R and the lens model are kept, ``roi`` and ``binning``
    are used up. Where P is all zeros (drivers leave it empty) it becomes [K | 0].

    :param image_size: (width, height) of the image that ``info`` came with.
    :param header: of the image; it also belongs to the result.
    """
    result = copy.deepcopy(info)
    result.header = header
    result.width, result.height = width, height
    result.binning_x = result.binning_y = 0
    result.roi = type(info.roi)()
    sx, sy = width / image_size[0], height / image_size[1]
    bx, by = max(info.binning_x, 1), max(info.binning_y, 1)
    to_output = _scaling(sx / bx, sy / by) @ _shift(-info.roi.x_offset, -info.roi.y_offset)
    result.k = (to_output @ np.reshape(info.k, (3, 3))).ravel()
    result.p = (to_output @ projection_of(info)).ravel()
    return result


def _scaling(sx: float, sy: float) -> np.ndarray:
    """Scaling about the outer corner of the top-left pixel, which lies at (-0.5, -0.5)."""
    return np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1]])


def _shift(x: float, y: float) -> np.ndarray:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])

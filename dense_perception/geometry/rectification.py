"""Rectification: from the image of a lens to that of the pinhole camera P of its CameraInfo.

The lens models are those of sensor_msgs/distortion_models.hpp, computed by OpenCV: Brown's
polynomial with or without the rational denominator, thin prism and tilted sensor, and the
equidistant fisheye of Kannala and Brandt.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.camera_info import Distortion
from dense_perception.geometry.resampling import halved, halvings

# Numbers of coefficients that a model may come with; 12 and 14 add thin prism and tilt.
_COEFFICIENTS = {'plumb_bob': (4, 5), 'rational_polynomial': (8, 12, 14), 'equidistant': (4,)}
_MINIMUM_SEEN = 0.1
_FOLD_SAMPLES = 1024


class RectificationError(ValueError):
    """A lens that cannot be undone; the message says what of camera_info is wrong."""


class Rectification:
    """Turns images of one distorted camera into those of one pinhole camera of any size.

    One look-up does both the rectification and the resize to the size asked for: from 640x480 to
    320x256 it takes a quarter of the time of a look-up at camera size and a resize after it
    (``dense-perception benchmark rectification``). Where it shrinks by 2 or more the image is
    halved first, as images are that need no rectification.

    :param raw: camera of the distorted images.
    :param distortion: of its lens.
    :param rotation: (3, 3), from the raw camera's frame to the rectified one's: R of CameraInfo.
    :param rectified: the pinhole camera to give images of.
    :raises RectificationError: unknown lens model, wrong number of coefficients, or no rotation;
        or ``raw`` and ``rectified`` do not look the same way.
    """

    def __init__(self, raw: Intrinsics, distortion: Distortion, rotation: np.ndarray,
                 rectified: Intrinsics) -> None:
        self._raw_shape = (raw.height, raw.width)
        fisheye, coefficients = _opencv_lens(distortion)
        rotation = _checked_rotation(rotation)
        x, y = _source_of(raw.matrix, coefficients, fisheye, rotation, rectified)
        seen = ((x >= -0.5) & (x <= raw.width - 0.5) & (y >= -0.5) & (y <= raw.height - 0.5)
                & ~_folded(coefficients, fisheye, rotation, rectified))
        if seen.mean() < _MINIMUM_SEEN:
            raise RectificationError(
                f'P does not fit K and D: only {100 * seen.mean():.0f} % of the rectified image '
                'would be seen by the camera')
        self._halvings = halvings(_shrink(x, y, seen))
        # The outer half of the outermost pixels has their colour.
        x, y = (np.clip((v + 0.5) * half / full - 0.5, 0, half - 1)
                for v, full, half in ((x, raw.width, raw.width >> self._halvings),
                                      (y, raw.height, raw.height >> self._halvings)))
        nearest = _nearest(seen)
        for v in (x, y):
            v[~seen] = v.ravel()[nearest]
        # Fixed point, 1/32 of a pixel: the fastest way through remap in OpenCV 4 and 5.
        self._maps = cv2.convertMaps(x, y, cv2.CV_16SC2)
        self.seen = None if seen.all() else seen
        """bool (height, width): where the rectified image shows something; None = everywhere."""

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Rectified image: uint8 (height, width, 3).

        What is not seen gets the colour of the nearest pixel that is: a network takes a black
        frame for something (docs/evaluation.md says what one costs).

        :param image: uint8 (height, width, 3) of the raw camera's size; rows may be padded.
        :raises ValueError: the image has another size.
        """
        if image.shape[:2] != self._raw_shape:
            raise ValueError(f'rectification is for images of shape {self._raw_shape}, this one '
                             f'has {image.shape[:2]}')
        return cv2.remap(halved(image, self._halvings), *self._maps, cv2.INTER_LINEAR)


def _opencv_lens(distortion: Distortion) -> tuple[bool, np.ndarray]:
    """Whether OpenCV's fisheye module is meant, and the coefficients it is to be given."""
    model, given = distortion.model, distortion.coefficients
    if model not in _COEFFICIENTS:
        raise RectificationError(f'distortion_model "{model}" is unknown; known are '
                                 f'{", ".join(_COEFFICIENTS)}')
    lengths = _COEFFICIENTS[model]
    used = tuple(given)
    if len(given) > lengths[-1] and not any(given[lengths[-1]:]):
        used = used[:lengths[-1]]  # drivers with one array length for all models fill up with 0
    if len(used) not in lengths:
        expected = ' or '.join(map(str, lengths))
        raise RectificationError(f'distortion_model "{model}" has {expected} coefficients, D has '
                                 f'{len(given)}')
    if not np.isfinite(used).all():
        raise RectificationError('D is not finite')
    return model == 'equidistant', np.array(used)


def _checked_rotation(rotation: np.ndarray) -> np.ndarray:
    matrix = np.asarray(rotation, np.float64).reshape(3, 3)
    if not np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-3):  # also if it is not finite
        raise RectificationError('R is not a rotation; it must be the identity for a single '
                                 'camera')
    return matrix


def _source_of(k: np.ndarray, coefficients: np.ndarray, fisheye: bool, rotation: np.ndarray,
               rectified: Intrinsics) -> tuple[np.ndarray, np.ndarray]:
    """Where in the raw image each rectified pixel lies: float32 x and y, (height, width)."""
    module = cv2.fisheye if fisheye else cv2
    x, y = module.initUndistortRectifyMap(
        k, coefficients, rotation, rectified.matrix, (rectified.width, rectified.height),
        cv2.CV_32FC1)
    return x, y


def _shrink(x: np.ndarray, y: np.ndarray, seen: np.ndarray) -> float:
    """By what factor the look-up makes the image smaller, at the median of the seen pixels."""
    if min(x.shape) < 2:
        return 1.0
    (x_down, x_across), (y_down, y_across) = np.gradient(x), np.gradient(y)
    return math.sqrt(np.median(np.abs(x_across * y_down - x_down * y_across)[seen]))


def _nearest(seen: np.ndarray) -> np.ndarray:
    """For each pixel of ``~seen``, in their order, the flat index of the closest one seen."""
    _, owners = cv2.distanceTransformWithLabels(
        (~seen).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    index = np.empty(owners.max() + 1, np.intp)
    index[owners[seen]] = np.flatnonzero(seen)
    return index[owners[~seen]]


def _folded(coefficients: np.ndarray, fisheye: bool, rotation: np.ndarray,
            rectified: Intrinsics) -> np.ndarray:
    """Pixels, bool (height, width), whose rays the lens model does not mean any more.

    A fitted polynomial may turn back outside of the angles it was fitted to, and then shows a
    part of the image a second time; rays behind the raw camera are not meant either.
    """
    x, y = rectified.ray_slopes()
    rays = np.stack(np.broadcast_arrays(x[None], y[:, None], np.float32(1)), axis=-1) @ rotation
    ahead = rays[..., 2] > 0
    radius = np.hypot(rays[..., 0], rays[..., 1]) / np.where(ahead, rays[..., 2], 1)
    if fisheye:
        radial = coefficients
    else:
        radial = coefficients.copy()
        radial[2:4] = radial[8:] = 0  # without tangential terms, prism and tilt
    step = float(radius[ahead].max(initial=0)) / (_FOLD_SAMPLES - 1) or 1.0
    line = Intrinsics(1 / step, 1.0, 0.0, 0.0, _FOLD_SAMPLES, 1)
    profile = _source_of(np.eye(3), radial, fisheye, np.eye(3), line)[0][0]
    turns = np.flatnonzero(~(np.diff(profile) > 0))
    limit = step * turns[0] if turns.size else np.inf
    return ~ahead | (radius > limit)

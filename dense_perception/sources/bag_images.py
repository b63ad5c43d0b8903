"""Image messages of a bag as arrays: colour, depth, labels."""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
from rosbags.image import ImageError, image_to_cvimage

_DEPTH_ENCODINGS = ('16UC1', 'mono16', '32FC1')
_TWO_PLANES = ('nv12', 'nv21')
_COMPRESSED_DEPTH_HEADER = struct.Struct('<iff')


class DecodeError(ValueError):
    """An image message that cannot be decoded."""


def kind_of(topic: str, message: Any) -> str | None:
    """``colour``, ``depth`` or ``labels``; None for what is none of these."""
    if hasattr(message, 'format'):
        return 'depth' if 'compressedDepth' in message.format else 'colour'
    if message.encoding in _DEPTH_ENCODINGS:
        return 'depth'
    if topic.endswith('mask'):
        return 'labels' if message.encoding in ('mono8', '8UC1') else None
    return 'colour'


def colour(message: Any) -> np.ndarray:
    """Colour image: uint8 (H, W, 3), RGB.

    :raises DecodeError: the bytes are no image of the announced size and encoding.
    """
    if hasattr(message, 'format'):
        # As the sensor saw it, which is what camera_info describes, whatever EXIF says.
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        return cv2.cvtColor(_decoded(message.data, flags), cv2.COLOR_BGR2RGB)
    return _raw(message, 'rgb8')


def depth(message: Any) -> np.ndarray:
    """Depth image: float32 (H, W), metres, NaN where there is none.

    :raises DecodeError: as ``colour``; or a compression other than PNG.
    """
    if hasattr(message, 'format'):
        return _decompressed_depth(message)
    return _metres(_raw(message, None))


def labels(message: Any) -> np.ndarray:
    """Mask: uint8 (H, W), class ids.

    :raises DecodeError: as ``colour``.
    """
    return np.array(_raw(message, None))


def _raw(message: Any, encoding: str | None) -> np.ndarray:
    if message.width == 0 or len(message.data) < message.step * message.height:
        raise DecodeError('image is shorter than it announces')
    if message.encoding in _TWO_PLANES:  # rosbags-image would lose a third of the rows
        raise DecodeError(f'encoding "{message.encoding}" is not read from bags')
    # rosbags-image takes rows as packed; padding is less than one pixel per column.
    row = message.step // message.width * message.width
    if row != message.step:
        rows = message.data[:message.step * message.height].reshape(message.height, message.step)
        message.data, message.step = np.ascontiguousarray(rows[:, :row]).ravel(), row
    try:
        return np.ascontiguousarray(image_to_cvimage(message, encoding))
    except (ImageError, TypeError, ValueError, cv2.error) as error:
        raise DecodeError(str(error)) from None


def _decoded(data: np.ndarray, flags: int) -> np.ndarray:
    image = cv2.imdecode(data, flags) if len(data) else None
    if image is None:
        raise DecodeError('compressed image cannot be decoded')
    return image


def _metres(image: np.ndarray) -> np.ndarray:
    """Depth image by its dtype (REP-118): uint16 millimetres with 0 = none, or float metres."""
    if image.dtype == np.uint16:
        metres = image * np.float32(1e-3)
        metres[image == 0] = np.nan
        return metres
    return np.array(image, np.float32)


def _decompressed_depth(message: Any) -> np.ndarray:
    """Image of compressed_depth_image_transport: a header with two parameters, then a PNG."""
    size = _COMPRESSED_DEPTH_HEADER.size
    if len(message.data) <= size or 'rvl' in message.format:
        raise DecodeError(f'compressed depth of format "{message.format}" cannot be decoded')
    _, scale, offset = _COMPRESSED_DEPTH_HEADER.unpack(bytes(message.data[:size]))
    image = _decoded(message.data[size:], cv2.IMREAD_UNCHANGED)
    if not message.format.startswith('32FC1'):
        return _metres(image)
    # Floats are quantised in inverse depth: value = scale / z + offset, 0 = none.
    with np.errstate(divide='ignore'):
        metres = (scale / (image.astype(np.float32) - np.float32(offset))).astype(np.float32)
    metres[image == 0] = np.nan
    return metres

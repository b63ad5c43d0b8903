"""Depth images of any source as metres (REP-118)."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import Image

from dense_perception.ros.encodings import DEPTH, ImageError

_METRES_PER_MILLIMETRE = np.float32(0.001)


def metres_from_image(msg: Image) -> np.ndarray:
    """Depth in metres, float32 (height, width), NaN = unknown.

    :param msg: 32FC1 in metres, or 16UC1 in millimetres with 0 = unknown.
    :raises ImageError: another encoding, zero size, fewer bytes than the message announces.
    """
    if msg.encoding not in DEPTH:
        raise ImageError(f'encoding "{msg.encoding}" is no depth image; it must be '
                         f'{" or ".join(DEPTH)}')
    dtype = np.dtype(np.float32 if msg.encoding == '32FC1' else np.uint16)
    if not msg.width or not msg.height:
        raise ImageError(f'image of size {msg.width}x{msg.height} has no pixels')
    if msg.step < msg.width * dtype.itemsize or len(msg.data) < msg.step * msg.height:
        raise ImageError(f'depth image has {len(msg.data)} bytes in rows of {msg.step}, for '
                         f'{msg.width}x{msg.height} {msg.encoding} that is too few')
    stored = dtype.newbyteorder('>' if msg.is_bigendian else '<')
    pixels = np.ndarray((msg.height, msg.width), stored, msg.data,
                        strides=(msg.step, dtype.itemsize))
    if dtype == np.float32:
        return np.ascontiguousarray(pixels, np.float32)
    metres = pixels * _METRES_PER_MILLIMETRE
    metres[pixels == 0] = np.nan
    return metres

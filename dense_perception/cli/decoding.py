"""Messages of the graph as arrays, for the tools that look at it."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import Image, PointCloud2, PointField

from dense_perception.ros.images import colour_from_image

_PLANES = {'32FC1': np.dtype(np.float32), '16UC1': np.dtype(np.uint16),
           'mono8': np.dtype(np.uint8), '8UC1': np.dtype(np.uint8)}
_FIELDS = {PointField.UINT8: 'u1', PointField.UINT16: '<u2', PointField.UINT32: '<u4',
           PointField.INT8: 'i1', PointField.INT16: '<i2', PointField.INT32: '<i4',
           PointField.FLOAT32: '<f4', PointField.FLOAT64: '<f8'}


class DecodeError(ValueError):
    """A message that is not what its topic promises; says why."""


def rgb(msg: Image) -> np.ndarray:
    """Colour image: uint8 (H, W, 3), RGB.

    :raises ImageError: see ``colour_from_image``.
    """
    pixels, order = colour_from_image(msg)
    return pixels if order == 'rgb' else np.ascontiguousarray(pixels[..., ::-1])


def plane(msg: Image) -> np.ndarray:
    """View of an image with one channel (depth, mask): (H, W), its dtype by the encoding.

    :raises DecodeError: another encoding, or fewer bytes than the message announces.
    """
    dtype = _PLANES.get(msg.encoding)
    if dtype is None:
        raise DecodeError(f'encoding "{msg.encoding}" is none of {", ".join(_PLANES)}')
    if msg.step < msg.width * dtype.itemsize or len(msg.data) < msg.step * msg.height:
        raise DecodeError(f'{len(msg.data)} bytes are too few for {msg.width}x{msg.height} '
                          f'{msg.encoding} with a step of {msg.step}')
    if msg.is_bigendian:
        dtype = dtype.newbyteorder('>')
    return np.ndarray((msg.height, msg.width), dtype, msg.data,
                      strides=(msg.step, dtype.itemsize))


def points(msg: PointCloud2) -> np.ndarray:
    """View of a cloud: structured (H, W) with the fields of the message.

    :raises DecodeError: big-endian, a field without a place in the point, or fewer bytes than
        the message announces.
    """
    if msg.is_bigendian:
        raise DecodeError('the cloud is big-endian')
    unknown = [f.name for f in msg.fields if f.datatype not in _FIELDS]
    if unknown or not {'x', 'y', 'z'} <= {f.name for f in msg.fields}:
        raise DecodeError(f'the cloud has no x, y and z, or fields of no known type {unknown}')
    if len(msg.data) < msg.row_step * msg.height or msg.row_step < msg.point_step * msg.width:
        raise DecodeError(f'{len(msg.data)} bytes are too few for {msg.width}x{msg.height} points')
    try:
        dtype = np.dtype({'names': [f.name for f in msg.fields],
                          'formats': [_FIELDS[f.datatype] for f in msg.fields],
                          'offsets': [f.offset for f in msg.fields], 'itemsize': msg.point_step})
    except ValueError as error:
        raise DecodeError(f'the fields of the cloud do not fit its point: {error}') from None
    return np.ndarray((msg.height, msg.width), dtype, msg.data,
                      strides=(msg.row_step, msg.point_step))

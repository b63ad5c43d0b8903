"""Structured point arrays as PointCloud2 messages."""

from __future__ import annotations

import functools
import sys

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from dense_perception.ros.images import set_bytes

_DATATYPES = {'float32': PointField.FLOAT32, 'float64': PointField.FLOAT64,
              'uint8': PointField.UINT8, 'int8': PointField.INT8,
              'uint16': PointField.UINT16, 'int16': PointField.INT16,
              'uint32': PointField.UINT32, 'int32': PointField.INT32}


def cloud_from_points(points: np.ndarray, header: Header,
                      reuse: PointCloud2 | None = None) -> PointCloud2:
    """Organised cloud of a structured array (height, width); its dtype names the fields.

    Points without a measurement have NaN coordinates, so ``is_dense`` is False (as in PCL).

    :param reuse: an earlier result that has been published: overwritten and returned.
    """
    message = PointCloud2() if reuse is None else reuse
    message.header, message.fields = header, _fields(points.dtype)
    message.height, message.width = points.shape
    message.is_bigendian, message.is_dense = sys.byteorder == 'big', False
    message.point_step = points.dtype.itemsize
    message.row_step = message.point_step * message.width
    set_bytes(message.data, points)
    return message


@functools.lru_cache
def _fields(dtype: np.dtype) -> list[PointField]:
    if dtype.fields is None:
        raise ValueError(f'points must be a structured array, not {dtype}')
    return [PointField(name=name, offset=int(offset), datatype=_DATATYPES[base.name], count=1)
            for name, (base, offset, *_) in dtype.fields.items()]

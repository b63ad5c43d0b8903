"""Structured point arrays as PointCloud2 messages."""

from __future__ import annotations

import array
import sys

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from dense_perception.ros.images import byte_array

_DATATYPES = {'float32': PointField.FLOAT32, 'float64': PointField.FLOAT64,
              'uint8': PointField.UINT8, 'int8': PointField.INT8,
              'uint16': PointField.UINT16, 'int16': PointField.INT16,
              'uint32': PointField.UINT32, 'int32': PointField.INT32}


def cloud_from_points(points: np.ndarray, header: Header,
                      reuse: array.array | None = None) -> PointCloud2:
    """Organised cloud of a structured array (height, width); its dtype names the fields.

    Points without a measurement have NaN coordinates, so ``is_dense`` is False (as in PCL).

    :param reuse: see ``images.byte_array``.
    """
    height, width = points.shape
    return PointCloud2(
        header=header, height=height, width=width, fields=_fields(points.dtype),
        is_bigendian=sys.byteorder == 'big', point_step=points.dtype.itemsize,
        row_step=points.dtype.itemsize * width, data=byte_array(points, reuse), is_dense=False)


def _fields(dtype: np.dtype) -> list[PointField]:
    if dtype.fields is None:
        raise ValueError(f'points must be a structured array, not {dtype}')
    return [PointField(name=name, offset=int(offset), datatype=_DATATYPES[base.name], count=1)
            for name, (base, offset, *_) in dtype.fields.items()]

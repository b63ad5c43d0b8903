"""Structured arrays as PointCloud2."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import PointField
from std_msgs.msg import Header

from dense_perception.geometry.cloud import point_dtype
from dense_perception.ros.clouds import cloud_from_points


def test_fields_follow_the_dtype():
    dtype = point_dtype(rgb=True, label=True, confidence=True)
    points = np.zeros((3, 5), dtype)
    points['x'] = np.arange(15).reshape(3, 5)
    points['label'] = 7
    cloud = cloud_from_points(points, Header(frame_id='camera'))
    assert (cloud.width, cloud.height, cloud.is_dense) == (5, 3, False)
    assert (cloud.point_step, cloud.row_step) == (dtype.itemsize, 5 * dtype.itemsize)
    assert [(f.name, f.offset, f.datatype, f.count) for f in cloud.fields] == [
        ('x', 0, PointField.FLOAT32, 1), ('y', 4, PointField.FLOAT32, 1),
        ('z', 8, PointField.FLOAT32, 1), ('rgb', 12, PointField.FLOAT32, 1),
        ('label', 16, PointField.UINT8, 1), ('confidence', 17, PointField.UINT8, 1)]
    assert np.array_equal(np.frombuffer(cloud.data, dtype).reshape(3, 5), points)


def test_plain_array_is_refused():
    with pytest.raises(ValueError, match='structured array'):
        cloud_from_points(np.zeros((2, 2), np.float32), Header())

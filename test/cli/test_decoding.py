from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import Image, PointCloud2, PointField
from std_msgs.msg import Header

from dense_perception.cli.decoding import DecodeError, plane, points
from dense_perception.geometry.cloud import point_dtype
from dense_perception.ros.clouds import cloud_from_points
from dense_perception.ros.images import image_from_array

DEPTH = np.arange(12, dtype=np.float32).reshape(3, 4)
CLOUD = np.zeros((2, 3), point_dtype(rgb=True, label=True))
CLOUD['x'] = np.arange(6).reshape(2, 3)


def test_planes_are_views_whatever_the_padding_and_byte_order() -> None:
    msg = image_from_array(DEPTH, '32FC1', Header())
    np.testing.assert_array_equal(plane(msg), DEPTH)
    padded = np.pad(DEPTH.astype('>f4'), ((0, 0), (0, 2)))
    msg = Image(height=3, width=4, step=24, encoding='32FC1', is_bigendian=1,
                data=padded.tobytes())
    np.testing.assert_array_equal(plane(msg), DEPTH)


def test_clouds_are_views() -> None:
    np.testing.assert_array_equal(points(cloud_from_points(CLOUD, Header())), CLOUD)
    empty = points(cloud_from_points(np.empty((1, 0), point_dtype()), Header()))
    assert empty.shape == (1, 0)


@pytest.mark.parametrize(('changes', 'sentence'), [
    ({'encoding': 'rgb8'}, 'encoding "rgb8" is none of'),
    ({'step': 8}, 'too few'), ({'height': 4}, 'too few')])
def test_images_that_lie_are_refused(changes: dict[str, object], sentence: str) -> None:
    msg = image_from_array(DEPTH, '32FC1', Header())
    for name, value in changes.items():
        setattr(msg, name, value)
    with pytest.raises(DecodeError, match=sentence):
        plane(msg)


@pytest.mark.parametrize(('changes', 'sentence'), [
    ({'is_bigendian': True}, 'big-endian'), ({'height': 3}, 'too few'),
    ({'row_step': 4}, 'too few'), ({'fields': []}, 'no x, y and z'),
    ({'point_step': 8, 'row_step': 24}, 'do not fit')])
def test_clouds_that_lie_are_refused(changes: dict[str, object], sentence: str) -> None:
    msg = cloud_from_points(CLOUD, Header())
    for name, value in changes.items():
        setattr(msg, name, value)
    with pytest.raises(DecodeError, match=sentence):
        points(msg)


def test_a_field_of_no_known_type_is_refused() -> None:
    msg = PointCloud2(fields=[PointField(name=n, datatype=99) for n in 'xyz'])
    with pytest.raises(DecodeError, match="of no known type \\['x', 'y', 'z'\\]"):
        points(msg)

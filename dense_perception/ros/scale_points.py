"""Sparse metric points (of a LiDAR or of SLAM) in the optical frame of an image."""

from __future__ import annotations

from collections import deque

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from dense_perception.geometry.rotation import rotation_matrix
from dense_perception.ros.qos import AdaptiveSubscription
from dense_perception.ros.stamps import seconds
from dense_perception.ros.transforms import Transforms, TransformUnavailable

_KEPT = 4
_COORDINATES = {PointField.FLOAT32: 'f4', PointField.FLOAT64: 'f8'}


class PointsUnavailable(LookupError):
    """There are no usable points for an image; the message says why."""


class ScalePoints:
    """Listens to the topic ``scale_points`` and answers with the points nearest in time."""

    def __init__(self, node: Node, transforms: Transforms) -> None:
        self._transforms = transforms
        self._clouds: deque[PointCloud2] = deque(maxlen=_KEPT)
        self._subscription = AdaptiveSubscription(node, PointCloud2, 'scale_points',
                                                  self._on_cloud)

    def listen(self, wanted: bool) -> None:
        """Follow the publishers of the topic, or stop listening; to be called twice a second."""
        if wanted:
            self._subscription.adapt()
        else:
            self._subscription.close()

    def forget(self) -> None:
        """Drop what was received."""
        self._clouds.clear()

    def at(self, header: Header, max_age_s: float) -> np.ndarray:
        """Points in the frame of an image, float (N, 3), metres.

        :param max_age_s: by so much their time may differ from the image's.
        :raises PointsUnavailable: no cloud so near in time, or none that can be read or placed.
        """
        time_s = seconds(header.stamp)
        clouds = list(self._clouds)
        if not clouds:
            raise PointsUnavailable('nothing came on the topic scale_points')
        cloud = min(clouds, key=lambda c: abs(seconds(c.header.stamp) - time_s))
        if abs(seconds(cloud.header.stamp) - time_s) > max_age_s:
            raise PointsUnavailable('the points on scale_points are older or newer than the image '
                                    'by more than scale.max_age')
        points = xyz_of(cloud)
        if cloud.header.frame_id == header.frame_id:
            return points
        try:
            translation, quaternion = self._transforms.lookup(
                header.frame_id, cloud.header.frame_id, header.stamp)
            return points @ rotation_matrix(quaternion).T + np.asarray(translation)
        except (TransformUnavailable, ValueError) as error:
            raise PointsUnavailable(f'scale_points: TF: {error}') from None

    def _on_cloud(self, msg: PointCloud2) -> None:
        self._clouds.append(msg)


def xyz_of(cloud: PointCloud2) -> np.ndarray:
    """Coordinates of a cloud, float (N, 3), a view where the message allows it.

    :raises PointsUnavailable: it has no float x, y and z, or fewer bytes than it announces.
    """
    fields = {f.name: f for f in cloud.fields}
    kinds = {_COORDINATES.get(fields[n].datatype) if n in fields else None for n in 'xyz'}
    if len(kinds) != 1 or None in kinds:
        raise PointsUnavailable('scale_points has no x, y and z of one float type')
    order = '>' if cloud.is_bigendian else '<'
    layout = np.dtype({'names': list('xyz'), 'formats': [order + kinds.pop()] * 3,
                       'offsets': [fields[n].offset for n in 'xyz']})
    end = (cloud.height - 1) * cloud.row_step + cloud.width * cloud.point_step
    if layout.itemsize > cloud.point_step or len(cloud.data) < end:
        raise PointsUnavailable('scale_points has fewer bytes than it announces')
    if not cloud.width * cloud.height:
        return np.empty((0, 3), np.float32)
    records = np.ndarray((cloud.height, cloud.width), layout, cloud.data,
                         strides=(cloud.row_step, cloud.point_step))
    return np.stack([records[n] for n in 'xyz'], axis=-1).reshape(-1, 3)

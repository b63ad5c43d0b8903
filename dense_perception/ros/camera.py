"""What the node knows about its camera, from the latest CameraInfo."""

from __future__ import annotations

from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.camera_info import (
    CameraInfoError,
    distortion_of,
    intrinsics_from_info,
)
from dense_perception.ros.camera_info import resized_info
from dense_perception.ros.conditions import Conditions, Level

GEOMETRIES = ('auto', 'raw', 'rectified')


class Camera:
    """Keeps the latest CameraInfo and says, as conditions, what is wrong with it.

    :param image_topic: resolved name of the image topic.
    :param info_topic: resolved name of the CameraInfo topic.
    :param geometry: ``raw`` (K describes the image), ``rectified`` (P does) or ``auto``:
        rectified if the last part of the image topic's name contains "rect".
    """

    def __init__(self, conditions: Conditions, image_topic: str, info_topic: str,
                 geometry: str) -> None:
        self._conditions = conditions
        self._image_topic = image_topic
        self._info_topic = info_topic
        self._rectified = geometry == 'rectified' or (
            geometry == 'auto' and 'rect' in image_topic.rsplit('/', 1)[-1])
        self._latest: CameraInfo | None = None
        self._intrinsics_of: tuple[tuple, Intrinsics] | None = None
        self._output_of: tuple[tuple, CameraInfo] | None = None

    def on_info(self, msg: CameraInfo) -> None:
        """Take over a message of the CameraInfo topic."""
        self._latest = msg

    def calibration(self, width: int, height: int) -> tuple[CameraInfo, Intrinsics] | None:
        """CameraInfo and intrinsics of an image of this size; None and a condition if unusable."""
        info = self._latest
        if info is None:
            self._warn(f'no message on {self._info_topic}')
            return None
        key = (*_key(info), width, height)
        if self._intrinsics_of is None or self._intrinsics_of[0] != key:
            try:
                intrinsics = intrinsics_from_info(info, width, height, self._rectified)
            except CameraInfoError as error:
                self._warn(f'{self._info_topic}: {error}')
                return None
            self._intrinsics_of = key, intrinsics
        self._conditions.clear('camera_info')
        self._check_distortion(info)
        return info, self._intrinsics_of[1]

    def output_info(self, info: CameraInfo, image_size: tuple[int, int], width: int, height: int,
                    header: Header) -> CameraInfo:
        """CameraInfo of the outputs; see ``resized_info``."""
        key = (*_key(info), *image_size, width, height)
        if self._output_of is None or self._output_of[0] != key:
            self._output_of = key, resized_info(info, image_size, width, height, header)
        self._output_of[1].header = header
        return self._output_of[1]

    def _warn(self, problem: str) -> None:
        self._conditions.raise_('camera_info', Level.WARN, f'{problem}; until that changes there '
                                'is no cloud, and no metric depth from a model that needs the '
                                'intrinsics')

    def _check_distortion(self, info: CameraInfo) -> None:
        if self._rectified or distortion_of(info) is None:
            self._conditions.clear('distortion')
            return
        self._conditions.raise_(
            'distortion', Level.WARN, f'{self._image_topic} is not rectified and its camera_info '
            'has distortion: depth/image_rect and depth/points are wrong towards the corners; '
            'rectify with image_proc and remap "image" to its image_rect')


def _key(info: CameraInfo) -> tuple:
    """Everything of the message but its header, hashable and cheap to compare."""
    roi = info.roi
    return (info.width, info.height, info.k.tobytes(), info.p.tobytes(), info.r.tobytes(),
            info.d.tobytes(), info.distortion_model, info.binning_x, info.binning_y, roi.x_offset,
            roi.y_offset, roi.width, roi.height)

"""What the node knows about its camera, from its CameraInfo."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.camera_info import (
    CameraInfoError,
    distortion_of,
    intrinsics_from_info,
    rotation_of,
)
from dense_perception.geometry.rectification import Rectification, RectificationError
from dense_perception.ros.camera_info import pinhole_info, resized_info
from dense_perception.ros.conditions import Conditions, Level
from dense_perception.ros.parameters import Declaration

PARAMETERS = (
    Declaration('image_geometry', 'auto', 'Whether K (raw) or P (rectified) of camera_info '
                "describes the image; auto: rectified if the last part of the topic's name "
                'contains "rect".', choices=('auto', 'raw', 'rectified')),
    # Not on and off: YAML reads those as booleans.
    Declaration('rectify', 'auto', 'Undo the lens of a raw image whose camera_info has '
                'distortion: auto = yes, and where that is impossible go on with a warning; '
                'required = yes, and where that is impossible publish nothing metric; never = no.',
                choices=('auto', 'required', 'never')))

_REMEMBERED_INFOS = 8


@dataclass(frozen=True)
class Calibration:
    """One camera as the way of a frame needs it.

    ``rectification``: to be applied to its images first; None = they are used as they are.
    ``intrinsics`` and ``info`` belong to the image after that, whose size they have.
    """

    intrinsics: Intrinsics
    info: CameraInfo
    rectification: Rectification | None = None


class Camera:
    """Keeps the newest CameraInfo and says, as conditions, what is wrong with it.

    :param image_topic: resolved name of the image topic.
    :param info_topic: resolved name of the CameraInfo topic.
    :param geometry: value of the parameter ``image_geometry``.
    :param rectify: value of the parameter ``rectify``.
    """

    def __init__(self, conditions: Conditions, image_topic: str, info_topic: str,
                 geometry: str, rectify: str) -> None:
        self._conditions = conditions
        self._image_topic = image_topic
        self._info_topic = info_topic
        self._rectified = geometry == 'rectified' or (
            geometry == 'auto' and 'rect' in image_topic.rsplit('/', 1)[-1])
        self._rectify = rectify
        # Filled by one thread, read and cleared by another: each a single step of a deque.
        self._infos: deque[CameraInfo] = deque(maxlen=_REMEMBERED_INFOS)
        self._newest: CameraInfo | None = None
        self._known: tuple[tuple, Calibration | None, dict[str, str]] | None = None
        self._output_of: tuple[Calibration, CameraInfo] | None = None

    def on_info(self, msg: CameraInfo) -> None:
        """Take over a message of the CameraInfo topic."""
        self._newest = msg
        self._infos.append(msg)

    def forget(self) -> None:
        """Time runs backwards: stamps of before mean nothing any more; the newest still counts."""
        self._infos.clear()

    def calibration(self, header: Header, width: int, height: int,
                    size: tuple[int, int]) -> Calibration | None:
        """How to read an image; None and a condition if that is unknown.

        :param header: of the image; the CameraInfo of its stamp counts, else the newest one.
        :param width: of the image.
        :param height: of the image.
        :param size: (width, height) that a rectified image is to have.
        """
        info = next((i for i in reversed(tuple(self._infos)) if i.header.stamp == header.stamp),
                    self._newest)
        if info is None:
            self._say({'camera_info': f'no message on {self._info_topic}, which is to be '
                                      'remapped to the camera_info of the image'})
            return None
        key = (*_key(info), width, height, size)
        if self._known is None or self._known[0] != key:
            self._known = key, *self._read(info, width, height, size)
        self._say(self._known[2])
        return self._known[1]

    def output_info(self, calibration: Calibration, width: int, height: int,
                    header: Header) -> CameraInfo:
        """CameraInfo of the outputs; see ``resized_info``."""
        known = self._output_of
        if known is None or known[0] is not calibration or (
                known[1].width, known[1].height) != (width, height):
            size = calibration.info.width, calibration.info.height
            known = calibration, resized_info(calibration.info, size, width, height, header)
            self._output_of = known
        known[1].header = header
        return known[1]

    def _read(self, info: CameraInfo, width: int, height: int,
              size: tuple[int, int]) -> tuple[Calibration | None, dict[str, str]]:
        """Calibration of a CameraInfo, and what is wrong with it by condition."""
        try:
            intrinsics = intrinsics_from_info(info, width, height, self._rectified)
        except CameraInfoError as error:
            return None, {'camera_info': f'{self._info_topic}: {error}'}
        lens = None if self._rectified else distortion_of(info)
        if lens is None:
            info = pinhole_info(info, self._rectified)
        as_it_is = Calibration(intrinsics, resized_info(info, (width, height), width, height,
                                                        info.header))
        if lens is None:
            return as_it_is, {}
        if self._rectify == 'never':
            return as_it_is, {'distortion': self._crooked(
                'rectify is never; set it to auto, or rectify with image_proc and remap "image" '
                'to its image_rect')}
        try:
            ideal = pinhole_info(info, rectified=True)
            rectified = intrinsics_from_info(ideal, width, height, True).resized(*size)
            rectification = Rectification(intrinsics, lens, rotation_of(info), rectified)
        except (CameraInfoError, RectificationError) as error:
            problem = f'{self._info_topic}: {error}'
            if self._rectify == 'required':
                return None, {'camera_info': f'{problem}, so the image cannot be rectified'}
            return as_it_is, {'distortion': self._crooked(problem)}
        return Calibration(rectified, resized_info(ideal, (width, height), *size, info.header),
                           rectification), {}

    def _crooked(self, reason: str) -> str:
        return (f'{self._image_topic} is not rectified and its camera_info has distortion: '
                f'depth/image_rect and depth/points are wrong towards the corners; {reason}')

    def _say(self, problems: dict[str, str]) -> None:
        for name in ('camera_info', 'distortion'):
            if name not in problems:
                self._conditions.clear(name)
                continue
            consequence = ('; until that changes there is no cloud, and no metric depth from a '
                           'model that needs the intrinsics') if name == 'camera_info' else ''
            self._conditions.raise_(name, Level.WARN, problems[name] + consequence)


def _key(info: CameraInfo) -> tuple:
    """Everything of the message but its header, hashable and cheap to compare."""
    roi = info.roi
    return (info.width, info.height, info.k.tobytes(), info.p.tobytes(), info.r.tobytes(),
            info.d.tobytes(), info.distortion_model, info.binning_x, info.binning_y, roi.x_offset,
            roi.y_offset, roi.width, roi.height)

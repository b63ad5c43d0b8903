"""Any colour encoding to RGB: cv_bridge where it is installed, else rosbags-image.

Both go wrong on chrominance in a plane of its own (cv_bridge knows none of these encodings,
rosbags-image loses a third of the rows), so those are converted here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import cv2
import numpy as np
from sensor_msgs.msg import Image

from dense_perception.ros.encodings import ImageError

_Converter = Callable[[Image], np.ndarray]

_TWO_PLANES = {'nv12': cv2.COLOR_YUV2RGB_NV12, 'nv21': cv2.COLOR_YUV2RGB_NV21}
# ITU-R BT.601 with luminance 16 .. 235, as OpenCV reads all other YUV encodings.
_RGB_FROM_YUV = np.array([[1.164, 0, 1.596], [1.164, -0.391, -0.813], [1.164, 2.018, 0]])
_RGB_FROM_YUV = np.column_stack([_RGB_FROM_YUV, -_RGB_FROM_YUV @ (16, 128, 128)])

_orders: dict[str, list[_Converter]] = {}


def rgb_from_packed(image: Image) -> np.ndarray:
    """RGB, uint8 (height, width, 3), of an image of 8-bit channels whose rows are not padded.

    A converter that fails is asked last from then on: one that is broken as a whole would cost
    time, and a complaint of its own, with every frame.

    :raises ImageError: no installed converter can do it.
    """
    order = _orders.setdefault(image.encoding, list(_installed()))
    problem = 'neither cv_bridge nor rosbags-image is installed; install one of them'
    for convert in tuple(order):
        try:
            return convert(image)
        except Exception as error:  # the converters share no exception type
            problem = str(error)
            order.append(order.pop(order.index(convert)))
    raise ImageError(f'encoding "{image.encoding}" cannot be converted to rgb8: {problem}')


def rgb_from_planes(luminance: np.ndarray, chrominance: np.ndarray, encoding: str) -> np.ndarray:
    """RGB, uint8 (height, width, 3), of nv12, nv21 or nv24.

    :param luminance: uint8 (height, width), rows may be padded.
    :param chrominance: uint8 (height / 2, width / 2, 2), for nv24 (height, width, 2), likewise.
    """
    if encoding in _TWO_PLANES:
        return cv2.cvtColorTwoPlane(luminance, chrominance, _TWO_PLANES[encoding])
    return cv2.transform(cv2.merge([luminance, *cv2.split(chrominance)]), _RGB_FROM_YUV)


@functools.cache
def _installed() -> tuple[_Converter, ...]:
    """Installed converters of a packed image message to RGB, the preferred one first."""
    found: list[_Converter] = []
    try:
        from cv_bridge import CvBridge
        found.append(functools.partial(CvBridge().imgmsg_to_cv2, desired_encoding='rgb8'))
    except Exception:  # one built for another NumPy fails in more ways than by ImportError
        pass
    try:
        from rosbags.image import image_to_cvimage
        found.append(functools.partial(image_to_cvimage, color_space='rgb8'))
    except ImportError:
        pass
    return tuple(found)

"""Images as ROS messages and as arrays."""

from __future__ import annotations

import array
import functools
import sys
from collections.abc import Callable

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header


class ImageError(ValueError):
    """An image message that cannot be used; the message says what is wrong with it."""


# Encodings that become colour: encoding -> (dtype, channels, the name converters know it by).
_BAYER = tuple(f'bayer_{pattern}' for pattern in ('rggb', 'bggr', 'gbrg', 'grbg'))
_COLOUR: dict[str, tuple[type, int, str]] = {
    'rgb8': (np.uint8, 3, 'rgb8'), 'bgr8': (np.uint8, 3, 'bgr8'),
    'rgba8': (np.uint8, 4, 'rgba8'), 'bgra8': (np.uint8, 4, 'bgra8'),
    'mono8': (np.uint8, 1, 'mono8'), 'mono16': (np.uint16, 1, 'mono16'),
    # OpenCV's own names leave the colour order open; OpenCV means BGR.
    '8UC1': (np.uint8, 1, 'mono8'), '8UC3': (np.uint8, 3, 'bgr8'), '8UC4': (np.uint8, 4, 'bgra8'),
    'rgb16': (np.uint16, 3, 'rgb16'), 'bgr16': (np.uint16, 3, 'bgr16'),
    'yuv422': (np.uint8, 2, 'yuv422'), 'uyvy': (np.uint8, 2, 'uyvy'),
    'yuv422_yuy2': (np.uint8, 2, 'yuv422_yuy2'), 'yuyv': (np.uint8, 2, 'yuyv'),
    **{f'{b}8': (np.uint8, 1, f'{b}8') for b in _BAYER},
    **{f'{b}16': (np.uint16, 1, f'{b}16') for b in _BAYER}}
_DEPTH = ('32FC1', '16UC1')
_ORDER = {'rgb8': 'rgb', 'bgr8': 'bgr', '8UC3': 'bgr'}

_ENCODING_DTYPES = {'rgb8': np.uint8, 'mono8': np.uint8, '32FC1': np.float32, '16UC1': np.uint16}


def colour_from_image(msg: Image) -> tuple[np.ndarray, str]:
    """Pixels of a colour image.

    ``rgb8`` and ``bgr8`` are a view of the message's bytes (rows may be padded); everything else
    is converted.

    :returns: uint8 (height, width, 3) and its colour order, ``rgb`` or ``bgr``.
    :raises ImageError: zero size, an encoding that is no colour image, fewer bytes than the
        message announces.
    """
    if msg.width == 0 or msg.height == 0:
        raise ImageError(f'image of size {msg.width}x{msg.height} has no pixels')
    if msg.encoding in _DEPTH:
        raise ImageError(f'encoding "{msg.encoding}" is a depth image; remap "image" to the '
                         "camera's colour topic")
    if msg.encoding not in _COLOUR:
        raise ImageError(f'encoding "{msg.encoding}" is unknown; known are '
                         f'{", ".join(sorted(_COLOUR))}')
    dtype, channels, name = _COLOUR[msg.encoding]
    pixels = _pixels(msg, np.dtype(dtype), channels)
    if msg.encoding in _ORDER:
        return pixels, _ORDER[msg.encoding]
    return _convert(pixels, name), 'rgb'


def colour_from_compressed(msg: CompressedImage) -> tuple[np.ndarray, str]:
    """Pixels of a JPEG or PNG image: uint8 (height, width, 3) and its colour order.

    :raises ImageError: the bytes are no picture that OpenCV can decode.
    """
    pixels = cv2.imdecode(np.frombuffer(msg.data, np.uint8), cv2.IMREAD_COLOR) \
        if len(msg.data) else None
    if pixels is None:
        raise ImageError(f'compressed image of format "{msg.format}" cannot be decoded '
                         f'({len(msg.data)} bytes)')
    return pixels, 'bgr'


def image_from_array(pixels: np.ndarray, encoding: str, header: Header,
                     reuse: array.array | None = None) -> Image:
    """Message of an array (height, width[, 3]) whose dtype fits ``encoding``.

    :param encoding: ``rgb8``, ``mono8``, ``32FC1`` or ``16UC1``.
    :param reuse: see ``byte_array``.
    :raises ValueError: the dtype does not fit the encoding.
    """
    if pixels.dtype != _ENCODING_DTYPES[encoding]:
        raise ValueError(f'encoding {encoding} needs {np.dtype(_ENCODING_DTYPES[encoding])}, '
                         f'not {pixels.dtype}')
    height, width = pixels.shape[:2]
    return Image(header=header, height=height, width=width, encoding=encoding,
                 is_bigendian=int(sys.byteorder == 'big'), step=pixels.nbytes // height,
                 data=byte_array(pixels, reuse))


def byte_array(values: np.ndarray, reuse: array.array | None = None) -> array.array:
    """Bytes of an array in the form that rclpy takes over without looking at each of them.

    rclpy checks any other sequence byte by byte, which takes 100 ms for a VGA image.

    :param reuse: an earlier result whose message has been published: overwritten and returned if
        the size is the same, because fresh megabytes cost more than copying into old ones.
    """
    flat = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    if reuse is not None and len(reuse) == flat.size:
        np.frombuffer(reuse, np.uint8)[:] = flat
        return reuse
    data = array.array('B')
    data.frombytes(flat)
    return data


def _pixels(msg: Image, dtype: np.dtype, channels: int) -> np.ndarray:
    """View of the message's bytes, (height, width, channels), in native byte order."""
    row = msg.width * channels * dtype.itemsize
    if msg.step < row:
        raise ImageError(f'step of {msg.step} bytes is shorter than a row of {msg.width} '
                         f'{msg.encoding} pixels ({row} bytes)')
    if len(msg.data) < msg.step * msg.height:
        raise ImageError(f'image has {len(msg.data)} bytes of data, its header announces '
                         f'{msg.step} x {msg.height} = {msg.step * msg.height}')
    if msg.is_bigendian and dtype.itemsize > 1:
        dtype = dtype.newbyteorder('>')
    pixels = np.ndarray((msg.height, msg.width, channels), dtype, msg.data,
                        strides=(msg.step, channels * dtype.itemsize, dtype.itemsize))
    return pixels if dtype.isnative else pixels.astype(dtype.newbyteorder('='))


def _convert(pixels: np.ndarray, encoding: str) -> np.ndarray:
    """Any known encoding to RGB, uint8 (height, width, 3)."""
    if pixels.dtype == np.uint16:
        # The network sees 8 bits; the low byte is below the noise of any camera.
        pixels, encoding = (pixels >> 8).astype(np.uint8), encoding.replace('16', '8')
    height, width, channels = pixels.shape
    packed = Image(height=height, width=width, encoding=encoding, step=width * channels,
                   data=byte_array(pixels))
    problem = 'neither cv_bridge nor rosbags-image is installed'
    for convert in _converters():
        try:
            return convert(packed)
        except Exception as error:  # the converters share no exception type
            problem = str(error)
    raise ImageError(f'encoding "{encoding}" cannot be converted to rgb8: {problem}')


@functools.cache
def _converters() -> tuple[Callable[[Image], np.ndarray], ...]:
    """Installed converters of a packed image message to RGB, the preferred one first."""
    found: list[Callable[[Image], np.ndarray]] = []
    try:
        from cv_bridge import CvBridge
        found.append(functools.partial(CvBridge().imgmsg_to_cv2, desired_encoding='rgb8'))
    except ImportError:
        pass
    try:
        from rosbags.image import image_to_cvimage
        found.append(functools.partial(image_to_cvimage, color_space='rgb8'))
    except ImportError:
        pass
    return tuple(found)

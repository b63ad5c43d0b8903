"""Images as ROS messages and as arrays."""

from __future__ import annotations

import array
import sys

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from dense_perception.ros.converters import rgb_from_packed, rgb_from_planes
from dense_perception.ros.encodings import LAYOUTS, ImageError, Layout, colour_layout

_ORDER = {'rgb8': 'rgb', 'bgr8': 'bgr', '8UC3': 'bgr'}

_ENCODING_DTYPES = {'rgb8': np.uint8, 'mono8': np.uint8, '32FC1': np.float32, '32FC3': np.float32,
                    '16UC1': np.uint16}


def colour_from_image(msg: Image) -> tuple[np.ndarray, str]:
    """Pixels of a colour image.

    ``rgb8`` and ``bgr8`` are a view of the message's bytes (rows may be padded); everything else
    is converted.

    :returns: uint8 (height, width, 3) and its colour order, ``rgb`` or ``bgr``.
    :raises ImageError: zero size, an encoding that is no colour image or cannot have this size,
        fewer bytes than the message announces.
    """
    layout = colour_layout(msg.encoding, msg.width, msg.height)
    _check_data(msg, layout)
    if layout.rows > 1:
        return rgb_from_planes(*_planes(msg), msg.encoding), 'rgb'
    pixels = _pixels(msg, layout)
    if msg.encoding in _ORDER:
        return pixels, _ORDER[msg.encoding]
    return rgb_from_pixels(pixels, layout.name), 'rgb'


def rgb_from_pixels(pixels: np.ndarray, encoding: str) -> np.ndarray:
    """RGB, uint8 (height, width, 3), of the pixels of any encoding without planes.

    :param pixels: uint8 or uint16 (height, width, channels), in native byte order.
    """
    if pixels.dtype == np.uint16:
        # The network sees 8 bits; the low byte is below the noise of any camera.
        pixels, encoding = (pixels >> 8).astype(np.uint8), encoding.replace('16', '8')
    height, width, channels = pixels.shape
    image = Image(height=height, width=width, encoding=encoding, step=width * channels)
    set_bytes(image.data, pixels)
    return rgb_from_packed(image)


def image_from_array(pixels: np.ndarray, encoding: str, header: Header,
                     reuse: Image | None = None) -> Image:
    """Message of an array (height, width[, 3]) whose dtype fits ``encoding``.

    :param encoding: ``rgb8``, ``mono8``, ``32FC1``, ``32FC3`` or ``16UC1``.
    :param reuse: an earlier result that has been published: overwritten and returned.
    :raises ValueError: the dtype does not fit the encoding.
    """
    if pixels.dtype != _ENCODING_DTYPES[encoding]:
        raise ValueError(f'encoding {encoding} needs {np.dtype(_ENCODING_DTYPES[encoding])}, '
                         f'not {pixels.dtype}')
    height, width = pixels.shape[:2]
    message = Image() if reuse is None else reuse
    message.header, message.height, message.width = header, height, width
    message.encoding, message.is_bigendian = encoding, int(sys.byteorder == 'big')
    message.step = pixels.nbytes // height
    set_bytes(message.data, pixels)
    return message


def set_bytes(data: array.array, values: np.ndarray) -> None:
    """Make ``data`` of a message hold the bytes of an array.

    In place, because rclpy copies what is assigned to ``data`` (twice in a constructor), and
    looks at every byte of what is no ``array.array``; and because fresh megabytes cost more than
    copying into old ones.
    """
    flat = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    del data[flat.size:]
    common = len(data)
    if common:
        np.frombuffer(data, np.uint8)[:] = flat[:common]
    data.frombytes(flat[common:])


def _check_data(msg: Image, layout: Layout) -> None:
    row = msg.width * layout.channels * np.dtype(layout.dtype).itemsize
    if msg.step < row:
        raise ImageError(f'step of {msg.step} bytes is shorter than a row of {msg.width} '
                         f'{msg.encoding} pixels; the publisher must set it to {row} at least')
    rows = int(msg.height * layout.rows)
    if len(msg.data) < msg.step * rows:
        raise ImageError(f'image has {len(msg.data)} bytes of data, its header announces '
                         f'{msg.step} x {rows} = {msg.step * rows}; the publisher must send them '
                         'all')


def _pixels(msg: Image, layout: Layout) -> np.ndarray:
    """View of the message's bytes, (height, width, channels), in native byte order."""
    dtype = np.dtype(layout.dtype)
    if msg.is_bigendian and dtype.itemsize > 1:
        dtype = dtype.newbyteorder('>')
    pixels = np.ndarray((msg.height, msg.width, layout.channels), dtype, msg.data,
                        strides=(msg.step, layout.channels * dtype.itemsize, dtype.itemsize))
    return pixels if dtype.isnative else pixels.astype(dtype.newbyteorder('='))


def _planes(msg: Image) -> tuple[np.ndarray, np.ndarray]:
    """Views of the luminance (height, width) and of the chrominance below it, two by two.

    A row of chrominance takes as many bytes as a row of luminance where columns share it, else
    twice as many (V4L2's NV12, NV21 and NV24).
    """
    shared = LAYOUTS[msg.encoding].block[0]
    luminance = np.ndarray((msg.height, msg.width), np.uint8, msg.data, strides=(msg.step, 1))
    chrominance = np.ndarray(
        (msg.height // shared, msg.width // shared, 2), np.uint8, msg.data,
        offset=msg.step * msg.height, strides=(msg.step * 2 // shared, 2, 1))
    return luminance, chrominance

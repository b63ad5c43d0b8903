"""Encodings of sensor_msgs/Image: how their pixels lie in memory, and which of them are colour."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np


class ImageError(ValueError):
    """An image message that cannot be used; the message says what is wrong and what is right."""


@dataclass(frozen=True)
class Layout:
    """Pixels of one encoding in memory.

    ``dtype``, ``channels``: of a pixel; of the plane of luminance where there are several planes.
    ``name``: what converters call the encoding. ``block``: width and height are multiples of
    this, because so many pixels share their chrominance. ``minimum``: smallest width and height.
    ``rows``: rows of data per row of pixels.
    """

    dtype: type
    channels: int
    name: str
    block: tuple[int, int] = (1, 1)
    minimum: int = 1
    rows: float = 1


BAYER = tuple(f'bayer_{pattern}' for pattern in ('rggb', 'bggr', 'gbrg', 'grbg'))
_PAIRS = (2, 1)
_QUADS = (2, 2)
LAYOUTS: dict[str, Layout] = {
    'rgb8': Layout(np.uint8, 3, 'rgb8'), 'bgr8': Layout(np.uint8, 3, 'bgr8'),
    'rgba8': Layout(np.uint8, 4, 'rgba8'), 'bgra8': Layout(np.uint8, 4, 'bgra8'),
    'mono8': Layout(np.uint8, 1, 'mono8'), 'mono16': Layout(np.uint16, 1, 'mono16'),
    # OpenCV's own names leave the colour order open; OpenCV means BGR.
    '8UC1': Layout(np.uint8, 1, 'mono8'), '8UC3': Layout(np.uint8, 3, 'bgr8'),
    '8UC4': Layout(np.uint8, 4, 'bgra8'),
    'rgb16': Layout(np.uint16, 3, 'rgb16'), 'bgr16': Layout(np.uint16, 3, 'bgr16'),
    'rgba16': Layout(np.uint16, 4, 'rgba16'), 'bgra16': Layout(np.uint16, 4, 'bgra16'),
    # cv_bridge knows only the older two of the four names.
    'yuv422': Layout(np.uint8, 2, 'yuv422', _PAIRS), 'uyvy': Layout(np.uint8, 2, 'yuv422', _PAIRS),
    'yuv422_yuy2': Layout(np.uint8, 2, 'yuv422_yuy2', _PAIRS),
    'yuyv': Layout(np.uint8, 2, 'yuv422_yuy2', _PAIRS),
    'nv12': Layout(np.uint8, 1, 'nv12', _QUADS, rows=1.5),
    'nv21': Layout(np.uint8, 1, 'nv21', _QUADS, rows=1.5),
    'nv24': Layout(np.uint8, 1, 'nv24', rows=3),
    # A smaller mosaic has no pixel with all its neighbours: OpenCV gives black.
    **{f'{b}8': Layout(np.uint8, 1, f'{b}8', minimum=3) for b in BAYER},
    **{f'{b}16': Layout(np.uint16, 1, f'{b}16', minimum=3) for b in BAYER}}

DEPTH = ('32FC1', '16UC1')
_MATRIX = re.compile(r'(8|16|32|64)[USF]C\d+')


def colour_layout(encoding: str, width: int, height: int) -> Layout:
    """Layout of a colour or grey image.

    :raises ImageError: the encoding is none, or cannot have this size.
    """
    if width == 0 or height == 0:
        raise ImageError(f'image of size {width}x{height} has no pixels; the camera driver must '
                         'fill in width and height')
    layout = LAYOUTS.get(encoding)
    if layout is None:
        raise ImageError(_why_not_colour(encoding))
    if width % layout.block[0] or height % layout.block[1]:
        raise ImageError(
            f'image of size {width}x{height} cannot be {encoding}, where {layout.block[0]} x '
            f'{layout.block[1]} pixels share their colour; the size must be a multiple of that')
    if min(width, height) < layout.minimum:
        raise ImageError(f'image of size {width}x{height} is too small for {encoding}; it must '
                         f'have {layout.minimum} x {layout.minimum} pixels at least')
    return layout


def _why_not_colour(encoding: str) -> str:
    if encoding in DEPTH:
        grey = '; a grey camera says mono16' if encoding == '16UC1' else ''
        return (f'encoding "{encoding}" is a depth image; remap "image" to the camera\'s colour '
                f'topic{grey}')
    if _MATRIX.fullmatch(encoding):
        return (f'encoding "{encoding}" is a matrix of numbers, not a picture; an image must say '
                'its colours, as rgb8 or mono8 do')
    if encoding.lower() in LAYOUTS:
        return f'encoding "{encoding}" is unknown; ROS spells it "{encoding.lower()}"'
    return f'encoding "{encoding}" is unknown; known are {", ".join(sorted(LAYOUTS))}'

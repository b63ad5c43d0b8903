"""Image messages of every colour encoding, made from an RGB picture by hand."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from dense_perception.ros.images import set_bytes

BAYER = tuple(f'bayer_{pattern}' for pattern in ('rggb', 'bggr', 'gbrg', 'grbg'))
LUMINANCE_FIRST = ('yuyv', 'yuv422_yuy2')
PAIRS = (*LUMINANCE_FIRST, 'uyvy', 'yuv422')
PLANES = ('nv12', 'nv21', 'nv24')
CHANNELS = {'rgb': 'rgb', 'bgr': 'bgr', 'rgba': 'rgba', 'bgra': 'bgra'}
INTERLEAVED = tuple(f'{order}{bits}' for order in CHANNELS for bits in (8, 16))
GREY = ('mono8', 'mono16', '8UC1')
COLOURED = (*INTERLEAVED, '8UC3', '8UC4', *(f'{b}{bits}' for b in BAYER for bits in (8, 16)),
            *PAIRS, *PLANES)

# Rec. ITU-R BT.601, 8 bits: Y 16 .. 235, Cb and Cr 16 .. 240 about 128.
_KR, _KB = 0.299, 0.114


def encoded(picture: np.ndarray, encoding: str, padding: int = 0, big_endian: bool = False,
            header: Header | None = None) -> Image:
    """Message of a picture.

    :param picture: uint8 (height, width, 3), RGB; a grey encoding takes its red.
    :param padding: bytes after each row (two rows of chrominance share one in nv24).
    """
    rows = _rows(picture, encoding)
    if rows.dtype == np.uint16:
        rows = rows.astype('>u2' if big_endian else '<u2').view(np.uint8)
    plane, below = rows[:len(picture)], rows[len(picture):]
    parts = [_padded(plane, padding)]
    if encoding == 'nv24':  # twice as wide as the luminance above
        below = below.reshape(len(picture), -1)
        parts.append(_padded(below, 2 * padding).reshape(-1, plane.shape[1] + padding))
    else:
        parts.append(_padded(below, padding))
    image = Image(header=header or Header(), height=picture.shape[0], width=picture.shape[1],
                  encoding=encoding, step=plane.shape[1] + padding, is_bigendian=int(big_endian))
    set_bytes(image.data, np.concatenate(parts))
    return image


def _rows(picture: np.ndarray, encoding: str) -> np.ndarray:
    height, width = picture.shape[:2]
    if encoding in PAIRS:
        return _pairs(picture, encoding)
    if encoding in PLANES:
        return _planes(picture, encoding)
    wide = picture.astype(np.uint16) * 257 if encoding.endswith('16') else picture
    if encoding.startswith(BAYER):
        return _mosaic(wide, encoding.split('_')[1][:4])
    if encoding in GREY:
        return wide[..., 0]
    order = {'8UC3': 'bgr', '8UC4': 'bgra'}.get(encoding, encoding.rstrip('0123456789'))
    alpha = np.full((height, width, 1), 7, wide.dtype)
    channels = dict(zip('rgba', np.split(np.concatenate([wide, alpha], axis=2), 4, axis=2)))
    return np.concatenate([channels[c] for c in order], axis=2).reshape(height, -1)


def _mosaic(picture: np.ndarray, pattern: str) -> np.ndarray:
    """The pattern names the colours of the first 2 x 2 pixels row by row."""
    result = np.empty(picture.shape[:2], picture.dtype)
    for number, colour in enumerate(pattern):
        row, column = divmod(number, 2)
        result[row::2, column::2] = picture[row::2, column::2, 'rgb'.index(colour)]
    return result


def _yuv(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    red, green, blue = np.moveaxis(picture / 255.0, 2, 0)
    luma = _KR * red + (1 - _KR - _KB) * green + _KB * blue
    cb, cr = (blue - luma) / (2 - 2 * _KB), (red - luma) / (2 - 2 * _KR)
    return tuple(np.round(v).astype(np.uint8)
                 for v in (16 + 219 * luma, 128 + 224 * cb, 128 + 224 * cr))


def _pairs(picture: np.ndarray, encoding: str) -> np.ndarray:
    y, u, v = _yuv(picture)
    result = np.empty((*y.shape, 2), np.uint8)
    first = encoding in LUMINANCE_FIRST
    result[..., 0 if first else 1] = y
    chrominance = result[..., 1 if first else 0]
    chrominance[:, 0::2], chrominance[:, 1::2] = u[:, 0::2], v[:, 0::2]
    return result.reshape(len(y), -1)


def _planes(picture: np.ndarray, encoding: str) -> np.ndarray:
    y, u, v = _yuv(picture)
    if encoding != 'nv24':
        u, v = u[0::2, 0::2], v[0::2, 0::2]
    pair = (v, u) if encoding == 'nv21' else (u, v)
    return np.concatenate([y, np.stack(pair, axis=2).reshape(-1, y.shape[1])])


def _padded(rows: np.ndarray, padding: int) -> np.ndarray:
    return np.pad(rows, ((0, 0), (0, padding)), constant_values=99)

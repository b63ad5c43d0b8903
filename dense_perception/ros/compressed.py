"""Compressed images (JPEG, PNG, TIFF) as arrays."""

from __future__ import annotations

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage

from dense_perception.ros.encodings import BAYER, DEPTH, ImageError
from dense_perception.ros.images import rgb_from_pixels

# The picture as the sensor saw it, which is what camera_info describes, whatever EXIF says.
_AS_STORED = cv2.IMREAD_IGNORE_ORIENTATION
_JPEG, _JPEG_SCAN, _JPEG_END = b'\xff\xd8\xff', b'\xff\xda', b'\xff\xd9'
_VIDEO = ('h264', 'h265', 'hevc', 'vp8', 'vp9', 'av1', 'mpeg4')
_REMEDY = 'image/compressed takes JPEG, PNG or TIFF pictures, whole'


def colour_from_compressed(msg: CompressedImage) -> tuple[np.ndarray, str]:
    """Pixels of a compressed image: uint8 (height, width, 3) and its colour order.

    ``format`` is read as image_transport's compressed plugin writes it, "<encoding>; <codec>
    compressed <encoding inside>"; of any other spelling only what the bytes say counts.

    :raises ImageError: the bytes are no whole picture that OpenCV can decode, or a depth image.
    """
    source, codec, inside = _parts(msg.format)
    if source in DEPTH or 'compresseddepth' in msg.format.lower():
        raise ImageError(f'compressed image of format "{msg.format}" is a depth image; remap '
                         '"image" to the camera\'s colour topic')
    data = np.frombuffer(msg.data, np.uint8)
    mosaic = source.startswith(BAYER) and inside in ('', source)
    pixels = None if _is_cut_off(data) else _decoded(
        data, cv2.IMREAD_GRAYSCALE if mosaic else cv2.IMREAD_COLOR)
    if pixels is None:
        raise ImageError(f'compressed image of format "{msg.format}" cannot be decoded: '
                         f'{_why_unreadable(msg.format, data)}; {_REMEDY}')
    if mosaic:
        return rgb_from_pixels(pixels[..., None], f'{source.rstrip("0123456789")}8'), 'rgb'
    # Publishers that do not convert to BGR before the codec have red and blue change places in
    # the file: all of them with TIFF, and for the others they say so.
    swapped = inside.startswith('rgb') or (codec == 'tiff' and source.startswith('rgb'))
    return pixels, 'rgb' if swapped else 'bgr'


def _parts(text: str) -> tuple[str, str, str]:
    """Encoding of the source, codec and encoding inside; empty where it is not said."""
    source, _, rest = text.partition(';')
    codec, _, inside = rest.partition('compressed')
    return source.strip(), codec.strip(), inside.strip()


def _is_cut_off(data: np.ndarray) -> bool:
    """Whether a JPEG ends before its end; OpenCV 4 fills up with whatever was in memory."""
    if data[:len(_JPEG)].tobytes() != _JPEG:
        return False
    text = data.tobytes()
    end = text.rfind(_JPEG_END)
    # A thumbnail has an end too, but a scan of the picture itself comes after it.
    return end < 0 or _JPEG_SCAN in text[end:]


def _decoded(data: np.ndarray, flags: int) -> np.ndarray | None:
    try:
        return cv2.imdecode(data, flags | _AS_STORED) if data.size else None
    except cv2.error:  # e.g. a header that announces more pixels than memory has
        return None


def _why_unreadable(text: str, data: np.ndarray) -> str:
    if not data.size:
        return 'it is empty'
    if any(codec in text.lower() for codec in _VIDEO):
        return 'a packet of a video stream is no picture by itself'
    if _is_cut_off(data):
        return f'its {data.size} bytes are a JPEG that is cut off'
    return f'its {data.size} bytes are damaged, cut off or no picture'

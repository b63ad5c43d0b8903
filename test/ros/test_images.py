"""Images between messages and arrays: every encoding, every way to be wrong."""

from __future__ import annotations

import array

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from dense_perception.ros.images import (
    ImageError,
    byte_array,
    colour_from_compressed,
    colour_from_image,
    image_from_array,
)

WIDTH, HEIGHT = 8, 6
COLOUR = (200, 60, 20)  # red, green, blue


def message(pixels: np.ndarray, encoding: str, padding: int = 0,
            big_endian: bool = False) -> Image:
    """Image of an array (HEIGHT, WIDTH[, channels])."""
    if big_endian:
        pixels = pixels.byteswap()
    rows = np.ascontiguousarray(pixels).reshape(HEIGHT, -1).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    return Image(height=HEIGHT, width=WIDTH, encoding=encoding, step=rows.shape[1],
                 is_bigendian=int(big_endian), data=byte_array(rows))


def flat(*channels: int, dtype: type = np.uint8) -> np.ndarray:
    return np.zeros((HEIGHT, WIDTH, len(channels)), dtype) + np.array(channels, dtype)


def bayer(pattern: str, dtype: type = np.uint8) -> np.ndarray:
    """Mosaic of one colour; the pattern names the first 2 x 2 pixels row by row."""
    values = dict(zip('rgb', COLOUR))
    tile = np.array([values[c] for c in pattern], dtype).reshape(2, 2)
    if dtype == np.uint16:
        tile = tile * 257
    return np.tile(tile, (HEIGHT // 2, WIDTH // 2))


def yuv(first: str) -> np.ndarray:
    """One colour as 4:2:2 (BT.601, video range), luminance first (yuyv) or not (uyvy)."""
    y, u, v = np.array([[0.257, 0.504, 0.098], [-0.148, -0.291, 0.439],
                        [0.439, -0.368, -0.071]]) @ COLOUR + (16, 128, 128)
    pair = [(y, u), (y, v)] if first == 'y' else [(u, y), (v, y)]
    return np.tile(np.array(pair).round().astype(np.uint8), (HEIGHT, WIDTH // 2, 1))


R, G, B = COLOUR
WIDE = tuple(257 * c for c in COLOUR)
COLOURED = {
    'rgb8': flat(R, G, B), 'bgr8': flat(B, G, R), 'rgba8': flat(R, G, B, 7),
    'bgra8': flat(B, G, R, 7), '8UC3': flat(B, G, R), '8UC4': flat(B, G, R, 7),
    'rgb16': flat(*WIDE, dtype=np.uint16), 'bgr16': flat(*WIDE[::-1], dtype=np.uint16),
    **{f'bayer_{p}8': bayer(p) for p in ('rggb', 'bggr', 'gbrg', 'grbg')},
    **{f'bayer_{p}16': bayer(p, np.uint16) for p in ('rggb', 'bggr', 'gbrg', 'grbg')}}
LUMINANCE_FIRST = {'yuyv': yuv('y'), 'yuv422_yuy2': yuv('y'), 'uyvy': yuv('u'),
                   'yuv422': yuv('u')}


def rgb(msg: Image) -> np.ndarray:
    pixels, order = colour_from_image(msg)
    return pixels if order == 'rgb' else pixels[:, :, ::-1]


@pytest.mark.parametrize('padding', [0, 5])
@pytest.mark.parametrize('encoding', COLOURED)
def test_colour_survives_every_encoding(encoding: str, padding: int):
    pixels = rgb(message(COLOURED[encoding], encoding, padding))
    assert pixels.shape == (HEIGHT, WIDTH, 3) and pixels.dtype == np.uint8
    inner = pixels[2:-2, 2:-2] if 'bayer' in encoding else pixels
    np.testing.assert_array_equal(inner, np.broadcast_to(COLOUR, inner.shape))


@pytest.mark.parametrize('encoding', LUMINANCE_FIRST)
def test_yuv_comes_close(encoding: str):
    np.testing.assert_allclose(rgb(message(LUMINANCE_FIRST[encoding], encoding))[0, 0], COLOUR,
                               atol=3)


@pytest.mark.parametrize('encoding', ['rgb16', 'mono16', 'bayer_rggb16'])
def test_big_endian(encoding: str):
    pixels = COLOURED.get(encoding, flat(0x1234, dtype=np.uint16))
    np.testing.assert_array_equal(rgb(message(pixels, encoding, big_endian=True)),
                                  rgb(message(pixels, encoding)))


@pytest.mark.parametrize(('encoding', 'value'), [
    ('mono8', np.uint8(77)), ('8UC1', np.uint8(77)), ('mono16', np.uint16(77 * 256 + 3))])
def test_grey_becomes_grey_rgb(encoding: str, value: np.generic):
    pixels = rgb(message(np.full((HEIGHT, WIDTH), value), encoding))
    assert (pixels == 77).all() and pixels.shape == (HEIGHT, WIDTH, 3)


def test_rgb_is_a_view_of_the_message():
    msg = message(flat(R, G, B), 'rgb8', padding=7)
    pixels, _ = colour_from_image(msg)
    msg.data[3] = 111  # red of the second pixel
    assert pixels[0, 1, 0] == 111


@pytest.mark.parametrize(('changes', 'words'), [
    ({'width': 0}, 'size 0x6'), ({'height': 0}, 'size 8x0'),
    ({'encoding': 'nv12'}, 'encoding "nv12" is unknown; known are'),
    ({'encoding': ''}, 'encoding "" is unknown'),
    ({'encoding': '32FC1'}, 'encoding "32FC1" is a depth image'),
    ({'encoding': '16UC1'}, 'encoding "16UC1" is a depth image'),
    ({'step': 20}, 'step of 20 bytes is shorter than a row of 8 rgb8 pixels'),
    ({'height': 7}, 'image has 144 bytes of data, its header announces 24 x 7 = 168'),
    ({'data': array.array('B')}, 'image has 0 bytes')])
def test_bad_image_gets_a_sentence(changes: dict, words: str):
    msg = message(flat(R, G, B), 'rgb8')
    for name, value in changes.items():
        setattr(msg, name, value)
    with pytest.raises(ImageError, match=words):
        colour_from_image(msg)


def test_compressed_image():
    data = cv2.imencode('.png', flat(B, G, R))[1].tobytes()
    pixels, order = colour_from_compressed(CompressedImage(format='png', data=data))
    assert order == 'bgr'
    np.testing.assert_array_equal(pixels[0, 0], (B, G, R))
    for broken in (data[:20], b''):
        with pytest.raises(ImageError, match='format "png" cannot be decoded'):
            colour_from_compressed(CompressedImage(format='png', data=broken))


@pytest.mark.parametrize(('encoding', 'pixels'), [
    ('rgb8', flat(R, G, B)), ('mono8', flat(R)[..., 0]),
    ('16UC1', flat(1234, dtype=np.uint16)[..., 0]),
    ('32FC1', flat(1.5, dtype=np.float32)[..., 0])])
def test_array_to_message(encoding: str, pixels: np.ndarray):
    header = Header(frame_id='camera')
    msg = image_from_array(pixels[:, ::2], encoding, header)
    assert (msg.width, msg.height, msg.encoding) == (WIDTH // 2, HEIGHT, encoding)
    assert msg.header is header and msg.step * msg.height == len(msg.data)
    assert np.array_equal(np.frombuffer(msg.data, pixels.dtype).reshape(pixels[:, ::2].shape),
                          pixels[:, ::2])
    with pytest.raises(ValueError, match=f'encoding {encoding} needs'):
        image_from_array(pixels.astype(np.float64), encoding, header)


def test_bytes_are_reused_when_they_fit():
    old = byte_array(np.zeros(10, np.uint8))
    new = byte_array(np.arange(10, dtype=np.uint8), old)
    assert new is old and list(new) == list(range(10))
    assert byte_array(np.ones(11, np.uint8), old) is not old

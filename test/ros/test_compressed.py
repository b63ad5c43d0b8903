"""Compressed images as arrays: every spelling of the format, every way to be wrong."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from helpers.encodings import BAYER, encoded
from sensor_msgs.msg import CompressedImage

from dense_perception.ros.compressed import colour_from_compressed
from dense_perception.ros.encodings import ImageError

COLOUR = (200, 60, 20)  # red, green, blue
PICTURE = np.full((12, 16, 3), COLOUR, np.uint8)
PICTURE[6:] = (20, 30, 180)
BGR = np.ascontiguousarray(PICTURE[..., ::-1])


def codec(extension: str, pixels: np.ndarray) -> bytes:
    return cv2.imencode(extension, pixels)[1].tobytes()


def rgb(text: str, data: bytes) -> np.ndarray:
    pixels, order = colour_from_compressed(CompressedImage(format=text, data=data))
    assert pixels.dtype == np.uint8 and pixels.ndim == 3
    return pixels if order == 'rgb' else pixels[..., ::-1]


@pytest.mark.parametrize('text', [
    'jpeg', 'jpg', 'JPEG', '.jpg', 'image/jpeg', '', 'bgr8; jpeg compressed bgr8',
    'rgb8; jpeg compressed bgr8', 'rgb8;jpeg compressed bgr8', 'bgra8; jpeg compressed bgr8',
    'yuv422_yuy2; jpeg compressed bgr8', 'bgr8; jpeg compressed', 'mjpeg'])
def test_jpeg(text: str):
    # JPEG halves the resolution of colours and rounds: look inside the two halves.
    pixels = rgb(text, codec('.jpg', BGR)).astype(int)
    np.testing.assert_allclose(pixels[:4], PICTURE[:4], atol=6)
    np.testing.assert_allclose(pixels[8:], PICTURE[8:], atol=6)


@pytest.mark.parametrize('text', [
    'png', 'PNG', 'jpeg', 'bgr8; png compressed bgr8', 'rgb8; png compressed bgr8',
    'rgb8; png compressed '])
def test_png_is_exact(text: str):
    np.testing.assert_array_equal(rgb(text, codec('.png', BGR)), PICTURE)


@pytest.mark.parametrize('text', ['rgb8; png compressed rgb8', 'rgb8; tiff compressed ',
                                  'rgba8; tiff compressed '])
def test_publishers_that_do_not_turn_rgb_into_bgr(text: str):
    np.testing.assert_array_equal(
        rgb(text, codec('.tiff' if 'tiff' in text else '.png', PICTURE)), PICTURE)


def test_tiff_of_a_bgr_camera():
    np.testing.assert_array_equal(rgb('bgr8; tiff compressed ', codec('.tiff', BGR)), PICTURE)


@pytest.mark.parametrize('text', ['mono8; png compressed ', 'mono8; png compressed mono8', 'png'])
def test_grey(text: str):
    grey = PICTURE[..., 0]
    np.testing.assert_array_equal(rgb(text, codec('.png', grey)), grey[..., None].repeat(3, 2))


def test_16_bits_keep_their_high_byte():
    wide = BGR.astype(np.uint16) * 256 + 17
    np.testing.assert_array_equal(rgb('rgb16; png compressed bgr16', codec('.png', wide)),
                                  PICTURE)
    grey = rgb('mono16; png compressed ', codec('.png', wide[..., 0]))
    np.testing.assert_array_equal(grey, PICTURE[..., 2:].repeat(3, 2))


def test_alpha_is_left_out_not_blended():
    alpha = np.dstack([BGR, np.zeros(BGR.shape[:2], np.uint8)])
    np.testing.assert_array_equal(rgb('rgba8; png compressed bgra8', codec('.png', alpha)),
                                  PICTURE)


@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('pattern', BAYER)
def test_a_compressed_mosaic_becomes_colours(pattern: str, bits: int):
    source = f'{pattern}{bits}'
    mosaic = np.frombuffer(encoded(PICTURE, source).data, np.dtype(f'u{bits // 8}'))
    data = codec('.png', mosaic.reshape(PICTURE.shape[:2]))
    for text in (f'{source}; png compressed ', f'{source}; png compressed {source}'):
        pixels = rgb(text, data)
        np.testing.assert_array_equal(pixels[2:4, 2:-2], PICTURE[2:4, 2:-2])
        np.testing.assert_array_equal(pixels[8:10, 2:-2], PICTURE[8:10, 2:-2])
    # What is grey already stays grey.
    grey = rgb(f'{source}; jpeg compressed mono8', codec('.png', PICTURE[..., 0]))
    np.testing.assert_array_equal(grey, PICTURE[..., :1].repeat(3, 2))


def test_the_picture_is_taken_as_the_sensor_saw_it():
    tag = b'\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00'  # orientation: turn right
    exif = b'Exif\0\0II*\0\x08\0\0\0\x01\0' + tag + b'\0\0\0\0'
    data = codec('.jpg', BGR)
    turned = data[:2] + b'\xff\xe1' + (len(exif) + 2).to_bytes(2, 'big') + exif + data[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape == (16, 12, 3)
    np.testing.assert_array_equal(rgb('jpeg', turned), rgb('jpeg', data))


def test_a_jpeg_may_be_padded_behind():
    data = codec('.jpg', BGR)
    np.testing.assert_array_equal(rgb('jpeg', data + bytes(1000)), rgb('jpeg', data))


JPEG, PNG, TIFF = (codec(extension, BGR) for extension in ('.jpg', '.png', '.tiff'))
WITH_THUMBNAIL = (JPEG[:2] + b'\xff\xe1' + (len(JPEG) + 2).to_bytes(2, 'big') + JPEG + JPEG[2:])
HUGE = bytearray(PNG)
HUGE[16:24] = b'\x7f\xff\xff\xff' * 2


@pytest.mark.parametrize(('text', 'data', 'words'), [
    ('jpeg', b'', 'it is empty'),
    ('jpeg', JPEG[:len(JPEG) // 2], 'bytes are a JPEG that is cut off'),
    ('jpeg', JPEG[:-2], 'a JPEG that is cut off'),
    ('jpeg', WITH_THUMBNAIL[:-10], 'a JPEG that is cut off'),
    ('png', PNG[:len(PNG) // 2], 'damaged, cut off or no picture'),
    ('png', PNG[:20], 'damaged, cut off'),
    ('png', bytes(HUGE), 'damaged, cut off'),
    ('rgb8; tiff compressed ', TIFF[:-40], 'damaged, cut off'),
    ('jpeg', b'hello world' * 20, 'its 220 bytes are damaged, cut off or no picture'),
    ('h264', b'\x00\x00\x00\x01' + bytes(100), 'a packet of a video stream is no picture')])
def test_what_is_no_whole_picture_is_refused(text: str, data: bytes, words: str):
    with pytest.raises(ImageError, match=words) as refusal:
        colour_from_compressed(CompressedImage(format=text, data=data))
    assert f'format "{text}"' in str(refusal.value)
    assert 'takes JPEG, PNG or TIFF pictures' in str(refusal.value)


def test_a_thumbnail_does_no_harm():
    np.testing.assert_array_equal(rgb('jpeg', WITH_THUMBNAIL), rgb('jpeg', JPEG))


@pytest.mark.parametrize('text', [
    '16UC1; compressedDepth', '32FC1; compressedDepth png', '16UC1; compressedDepth rvl',
    '16UC1; png compressed ', '32FC1; tiff compressed '])
def test_compressed_depth_is_refused(text: str):
    depth = codec('.png', np.full((12, 16), 1000, np.uint16))
    with pytest.raises(ImageError, match='is a depth image; remap "image" to the camera'):
        colour_from_compressed(CompressedImage(format=text, data=bytes(12) + depth))

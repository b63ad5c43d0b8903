"""Images between messages and arrays: every encoding, every way to be wrong."""

from __future__ import annotations

import array
import re
import sys
import types
from collections.abc import Iterator

import numpy as np
import pytest
from helpers.encodings import BAYER, COLOURED, GREY, PAIRS, PLANES, encoded
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from dense_perception.ros import converters
from dense_perception.ros.encodings import LAYOUTS, ImageError
from dense_perception.ros.images import colour_from_image, image_from_array

WIDTH, HEIGHT = 16, 12
COLOURS = np.array([[(200, 60, 20), (10, 200, 120)], [(90, 90, 240), (250, 240, 30)]], np.uint8)


def patches(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Four flat colours, that meet on even rows and columns."""
    rows, columns = (np.arange(n) >= n // 4 * 2 for n in (height, width))
    return COLOURS[rows.astype(int)[:, None], columns.astype(int)]


def rgb(msg: Image) -> np.ndarray:
    pixels, order = colour_from_image(msg)
    return pixels if order == 'rgb' else pixels[:, :, ::-1]


@pytest.fixture(autouse=True)
def fresh_converters() -> Iterator[None]:
    """No test sees what another one found installed or broken."""
    def forget() -> None:
        converters._installed.cache_clear()
        converters._orders.clear()

    forget()
    yield
    forget()


def test_the_tests_know_every_encoding():
    assert set(COLOURED) | set(GREY) == set(LAYOUTS)


@pytest.mark.parametrize('padding', [0, 6])
@pytest.mark.parametrize('encoding', COLOURED)
def test_colours_survive_every_encoding(encoding: str, padding: int):
    picture = patches()
    pixels = rgb(encoded(picture, encoding, padding))
    assert pixels.shape == (HEIGHT, WIDTH, 3) and pixels.dtype == np.uint8
    if encoding.startswith(BAYER):  # the inside of each patch: a mosaic blurs where colours meet
        for rows in (np.s_[2:4], np.s_[8:10]):
            for columns in (np.s_[2:6], np.s_[10:14]):
                np.testing.assert_array_equal(pixels[rows, columns], picture[rows, columns])
        return
    # Rounding Y, Cb and Cr to 8 bits costs up to 2 of 255, OpenCV's integers one more.
    tolerance = 3 if encoding in (*PAIRS, *PLANES) else 0
    np.testing.assert_allclose(pixels.astype(int), picture, atol=tolerance)


@pytest.mark.parametrize('encoding', [e for e in (*COLOURED, *GREY) if e.endswith('16')])
def test_big_endian(encoding: str):
    picture = patches()
    np.testing.assert_array_equal(rgb(encoded(picture, encoding, 6, big_endian=True)),
                                  rgb(encoded(picture, encoding)))


@pytest.mark.parametrize('encoding', GREY)
def test_grey_becomes_grey_rgb(encoding: str):
    pixels = rgb(encoded(patches(), encoding, 2))
    np.testing.assert_array_equal(pixels, patches()[..., :1].repeat(3, axis=2))


@pytest.mark.parametrize('encoding', [e for e in COLOURED if LAYOUTS[e].block == (1, 1)])
def test_odd_sizes(encoding: str):
    picture = np.full((7, 5, 3), COLOURS[0, 0])
    np.testing.assert_allclose(rgb(encoded(picture, encoding, 2)).astype(int), picture,
                               atol=3 if encoding in PLANES else 0)


def test_rgb_is_a_view_of_the_message():
    msg = encoded(patches(), 'rgb8', padding=7)
    pixels, _ = colour_from_image(msg)
    msg.data[3] = 111  # red of the second pixel
    assert pixels[0, 1, 0] == 111


@pytest.mark.parametrize(('changes', 'words'), [
    ({'width': 0}, 'size 0x12 has no pixels; the camera driver must'),
    ({'height': 0}, 'size 16x0'),
    ({'encoding': 'hsv8'}, 'encoding "hsv8" is unknown; known are 8UC1, '),
    ({'encoding': ''}, 'encoding "" is unknown; known are'),
    ({'encoding': 'RGB8'}, 'encoding "RGB8" is unknown; ROS spells it "rgb8"'),
    ({'encoding': '32FC1'}, 'encoding "32FC1" is a depth image; remap "image" to the camera'),
    ({'encoding': '16UC1'}, 'encoding "16UC1" is a depth image; .* a grey camera says mono16'),
    ({'encoding': '32FC3'}, 'encoding "32FC3" is a matrix of numbers, not a picture; an image '
     'must say its colours'),
    ({'encoding': '8UC2'}, 'is a matrix of numbers'),
    ({'step': 40}, 'step of 40 bytes is shorter than a row of 16 rgb8 pixels; .* to 48 at least'),
    ({'height': 13}, 'image has 576 bytes of data, its header announces 48 x 13 = 624; the '
     'publisher must send them all'),
    ({'encoding': 'nv12', 'step': 48, 'height': 10}, 'announces 48 x 15 = 720'),
    ({'encoding': 'nv24', 'step': 16}, 'announces 16 x 36 = 576'),
    ({'encoding': 'yuyv', 'width': 15}, 'size 15x12 cannot be yuyv, where 2 x 1 pixels share'),
    ({'encoding': 'nv21', 'height': 11}, 'size 16x11 cannot be nv21, where 2 x 2 pixels share'),
    ({'encoding': 'bayer_rggb8', 'width': 2}, 'size 2x12 is too small for bayer_rggb8'),
    ({'data': array.array('B')}, 'image has 0 bytes')])
def test_bad_image_gets_a_sentence(changes: dict, words: str):
    msg = encoded(patches(), 'rgb8')
    for name, value in changes.items():
        setattr(msg, name, value)
    if changes.get('encoding') == 'nv24':
        msg.data = msg.data[:-1]
    with pytest.raises(ImageError, match=words):
        colour_from_image(msg)


class StandIn:
    """A module cv_bridge that knows two encodings and keeps what it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[str, str]] = []
        stand_in = self

        class CvBridge:
            def imgmsg_to_cv2(self, msg: Image, desired_encoding: str) -> np.ndarray:
                stand_in.asked.append((msg.encoding, desired_encoding))
                if msg.encoding not in ('mono8', 'yuv422'):
                    raise RuntimeError(f'no conversion from {msg.encoding}')
                return np.full((msg.height, msg.width, 3), 42, np.uint8)

        module = types.ModuleType('cv_bridge')
        module.CvBridge = CvBridge
        monkeypatch.setitem(sys.modules, 'cv_bridge', module)


def test_cv_bridge_goes_first(monkeypatch: pytest.MonkeyPatch):
    bridge = StandIn(monkeypatch)
    for encoding in ('mono8', 'mono16', 'uyvy'):  # 16 bits and new names as it knows them
        assert (rgb(encoded(patches(), encoding, 2)) == 42).all()
    assert bridge.asked == [('mono8', 'rgb8'), ('mono8', 'rgb8'), ('yuv422', 'rgb8')]
    rgb(encoded(patches(), 'rgb8')), rgb(encoded(patches(), 'nv12'))
    assert len(bridge.asked) == 3


def test_what_cv_bridge_cannot_do_goes_to_rosbags_and_stays_there(
        monkeypatch: pytest.MonkeyPatch):
    bridge = StandIn(monkeypatch)
    for _ in range(3):
        np.testing.assert_array_equal(rgb(encoded(patches(), 'rgba8')), patches())
    assert bridge.asked == [('rgba8', 'rgb8')]


@pytest.mark.parametrize('error', [ImportError, AttributeError])
def test_a_broken_cv_bridge_is_none(monkeypatch: pytest.MonkeyPatch, error: type[Exception]):
    class Broken(types.ModuleType):
        def __getattr__(self, name: str) -> None:
            raise error('built for another NumPy')

    monkeypatch.setitem(sys.modules, 'cv_bridge', Broken('cv_bridge'))
    np.testing.assert_array_equal(rgb(encoded(patches(), 'rgba8')), patches())


def test_without_any_converter_the_sentence_names_both(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, 'cv_bridge', None)
    monkeypatch.setitem(sys.modules, 'rosbags.image', None)
    with pytest.raises(ImageError, match='encoding "rgba8" .* neither cv_bridge nor rosbags-im'):
        rgb(encoded(patches(), 'rgba8'))
    for encoding in ('rgb8', 'bgr8', 'nv12'):
        rgb(encoded(patches(), encoding))


def test_when_both_fail_the_last_reason_is_said(monkeypatch: pytest.MonkeyPatch):
    StandIn(monkeypatch)
    monkeypatch.setitem(sys.modules, 'rosbags.image', None)
    with pytest.raises(ImageError, match=re.escape('no conversion from rgba8')):
        rgb(encoded(patches(), 'rgba8'))


@pytest.mark.parametrize(('encoding', 'pixels'), [
    ('rgb8', patches()), ('mono8', patches()[..., 0]),
    ('16UC1', patches()[..., 0].astype(np.uint16)),
    ('32FC1', patches()[..., 0].astype(np.float32))])
def test_array_to_message(encoding: str, pixels: np.ndarray):
    header = Header(frame_id='camera')
    msg = image_from_array(pixels[:, ::2], encoding, header)
    assert (msg.width, msg.height, msg.encoding) == (WIDTH // 2, HEIGHT, encoding)
    assert msg.header is header and msg.step * msg.height == len(msg.data)
    assert np.array_equal(np.frombuffer(msg.data, pixels.dtype).reshape(pixels[:, ::2].shape),
                          pixels[:, ::2])
    with pytest.raises(ValueError, match=f'encoding {encoding} needs'):
        image_from_array(pixels.astype(np.float64), encoding, header)


def test_a_message_is_filled_again_where_its_bytes_lie():
    message = image_from_array(np.zeros((2, 5), np.uint8), 'mono8', Header())
    data = message.data
    for size in (11, 3, 3, 25):
        pixels = np.full((2, size), size, np.uint8)
        assert image_from_array(pixels, 'mono8', Header(), message) is message
        assert message.data is data and list(data) == [size] * 2 * size
        assert (message.width, message.step) == (size, size)

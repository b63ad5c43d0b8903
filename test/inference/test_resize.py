"""Network sizes by the rules of DPT and Depth Anything, and figures of their reference code."""

from __future__ import annotations

import pytest
from helpers.plane_model import plane_card

from dense_perception.inference.card import ModelCard
from dense_perception.inference.resize import network_size

DPT_384 = ('minimal', (384, 384), 32)
DPT_KITTI = ('minimal', (352, 1216), 32)
DPT_NYU = ('minimal', (480, 640), 32)
DEPTH_ANYTHING = ('lower_bound', (518, 518), 14)


def card(rule: str, target: tuple[int, int] | None, multiple: int) -> ModelCard:
    height, width = (side // multiple * multiple for side in target or (256, 320))
    return plane_card(height, width, resize=rule, resize_target=target, size_multiple=multiple)


@pytest.mark.parametrize(('width', 'height', 'rule', 'expected'), [
    (640, 480, DPT_384, (512, 384)),
    (1242, 375, DPT_384, (1280, 384)),
    (1920, 1080, DPT_384, (672, 384)),
    (384, 384, DPT_384, (384, 384)),
    (480, 640, DPT_384, (384, 512)),
    (320, 240, DPT_384, (384, 288)),
    (1216, 352, DPT_KITTI, (1216, 352)),
    (1242, 375, DPT_KITTI, (1216, 352)),  # 367.1 is 11.47 multiples: 352
    (640, 480, DPT_NYU, (640, 480)),
    (640, 480, DEPTH_ANYTHING, (686, 518)),
    (1216, 352, DEPTH_ANYTHING, (1792, 518)),
    (320, 240, DEPTH_ANYTHING, (686, 518)),
    (640, 480, ('minimal', (518, 518), 14), (686, 518)),
    (320, 240, ('minimal', (518, 518), 14), (518, 392)),
    (640, 480, ('upper_bound', (384, 384), 32), (384, 288)),
    (1242, 375, ('upper_bound', (384, 384), 32), (384, 128)),
    (640, 480, ('stretch', None, 32), (320, 256)),
    (33, 9999, ('stretch', None, 32), (320, 256)),
    (10000, 10, ('upper_bound', (384, 384), 32), (384, 32))])  # never less than one multiple
def test_size_of_an_image(width: int, height: int, rule: tuple, expected: tuple[int, int]):
    assert network_size((height, width), card(*rule)) == expected[::-1]


@pytest.mark.parametrize('rule', ['lower_bound', 'upper_bound'])
def test_bounds_hold_where_rounding_to_the_nearest_multiple_would_break_them(rule: str):
    # 520 is 37.14 multiples of 14 and 515 is 36.79: the nearest is on the wrong side of each.
    target = {'lower_bound': 520, 'upper_bound': 515}[rule]
    size = network_size((480, 480), card(rule, (target, target), 14))
    assert size == {'lower_bound': (532, 532), 'upper_bound': (504, 504)}[rule]


def test_a_half_is_rounded_to_the_even_multiple():
    assert network_size((384, 16), card(*DPT_384)) == (384, 32)
    assert network_size((80, 80), card('minimal', (80, 80), 32)) == (64, 64)  # 2.5
    assert network_size((112, 112), card('minimal', (112, 112), 32)) == (128, 128)  # 3.5


def test_an_image_without_pixels_is_refused():
    with pytest.raises(ValueError, match='640x0 is not positive'):
        network_size((0, 640), card(*DPT_384))

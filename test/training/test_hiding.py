"""Frames and spots: where they are, and that nothing is known of what they cover."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip('torch', reason='training needs torch')

from dense_perception_training.sample import Sample
from dense_perception_training.transforms import (
    TransformError,
    bordered,
    generator,
    make_transform,
)

ROWS, COLUMNS = np.mgrid[:60, :100].astype(np.uint8)
SAMPLE = Sample(np.stack([ROWS, COLUMNS, ROWS], axis=-1), 'x',
                depth=np.full((60, 100), 2, np.float32), labels=np.full((60, 100), 3, np.uint8),
                normals=np.full((60, 100, 3), 0.5, np.float32),
                alpha=np.full((60, 100), 0.7, np.float32))
SIDES = np.array([10, 5, 0, 20])  # left, right, top, bottom


def shown(sample: Sample) -> np.ndarray:
    """Bool (H, W): where the truth is known, which is the same for all of it."""
    known = np.isfinite(sample.depth)
    np.testing.assert_array_equal(known, sample.labels != 255)
    np.testing.assert_array_equal(known, np.isfinite(sample.alpha))
    np.testing.assert_array_equal(known[..., None] & [True] * 3, np.isfinite(sample.normals))
    return known


@pytest.mark.parametrize('grey', [0, 255, 90])
def test_each_side_has_its_width_and_nothing_is_known_of_what_it_covers(grey: int):
    framed = bordered(SAMPLE, SIDES, 0.0, grey)
    inside = np.zeros((60, 100), bool)
    inside[:40, 10:95] = True
    np.testing.assert_array_equal(shown(framed), inside)
    assert (framed.image[~inside] == grey).all()
    np.testing.assert_array_equal(framed.image[inside], SAMPLE.image[inside])
    assert np.isfinite(SAMPLE.depth).all() and (SAMPLE.labels == 3).all()


def test_a_smear_repeats_the_outermost_pixels():
    framed = bordered(SAMPLE, SIDES, 0.0, None)
    np.testing.assert_array_equal(framed.image[..., 0], np.minimum(ROWS, 39))
    np.testing.assert_array_equal(framed.image[..., 1], np.clip(COLUMNS, 10, 94))
    assert shown(framed).sum() == 40 * 85


@pytest.mark.parametrize(('bend', 'row', 'column'), [(10, 16, 7), (-10, 10, 1)])
def test_edges_bend(bend: float, row: int, column: int):
    known = shown(bordered(SAMPLE, np.full(4, 5), bend, 0))
    left = known.argmax(axis=1)
    assert left[30] == known[:, 50].argmax() == 5
    assert known[30].sum() == 90 and known[:, 50].sum() == 50
    assert left[row] == left[59 - row] == column  # 5 + bend * (2 row / 59 - 1) ** 2
    np.testing.assert_array_equal(known, known[::-1, ::-1])


def test_a_share_of_the_samples_gets_one_and_the_same_from_the_same_generator():
    frame = make_transform('border', widest=0.1, share=0.5)
    framed = [frame(SAMPLE, generator(seed)) for seed in range(200)]
    covered = np.array([1 - shown(sample).mean() for sample in framed])
    assert 0.3 < (covered > 0).mean() < 0.55
    assert covered.max() < 0.6 and len(set(covered)) > 30
    again = frame(SAMPLE, generator(7))
    np.testing.assert_array_equal(again.image, framed[7].image)
    corners = {int(sample.image[0, 0, 2]) for sample in framed if not shown(sample)[0, 0]}
    assert {0, 255} < corners


def test_only_what_the_sample_has():
    bare = replace(SAMPLE, depth=None, labels=None, normals=None, alpha=None)
    framed = bordered(bare, SIDES, 0.0, 0)
    assert framed.depth is framed.labels is framed.alpha is None
    assert (framed.image[40:] == 0).all()


@pytest.mark.parametrize('widest', [0, -0.1, 0.21])
def test_widths_that_would_meet_in_the_middle_are_refused(widest: float):
    with pytest.raises(TransformError, match='border: widest is .* above 0 and at most 0.2'):
        make_transform('border', widest=widest)


def test_spots_hide_what_they_cover():
    spots = make_transform('spots', most=4, largest=0.2, share=1.0)
    shares = []
    for seed in range(60):
        spotted = spots(SAMPLE, generator(seed))
        known = shown(spotted)
        # The outermost pixels of a spot are blended with what is beside it.
        apart = cv2.dilate((~known).astype(np.uint8), np.ones((5, 5))) == 0
        np.testing.assert_array_equal(spotted.image[apart], SAMPLE.image[apart])
        shares.append(1 - known.mean())
    assert 0 < min(shares) < 0.01 and 0.1 < max(shares) < 0.6
    np.testing.assert_array_equal(spots(SAMPLE, generator(5)).image,
                                  spots(SAMPLE, generator(5)).image)
    one = make_transform('spots', most=1, largest=0.2, share=1.0)
    for seed in range(20):
        spotted = one(SAMPLE, generator(seed))
        inside = cv2.erode((~shown(spotted)).astype(np.uint8), np.ones((5, 5)), borderValue=1) > 0
        assert len(np.unique(spotted.image[inside], axis=0)) <= 1
    few = [make_transform('spots', share=0.25)(SAMPLE, generator(seed)) for seed in range(200)]
    assert 0.15 < np.mean([not shown(sample).all() for sample in few]) < 0.35


@pytest.mark.parametrize(('options', 'words'), [
    ({'most': 0}, 'spots: most is 0; write 1 or more'),
    ({'largest': 0.001}, 'spots: largest is 0.001; write a share'),
    ({'largest': 0.6}, 'from 0.005 to 0.5')])
def test_spots_that_cannot_be_are_refused(options: dict, words: str):
    with pytest.raises(TransformError, match=words):
        make_transform('spots', **options)

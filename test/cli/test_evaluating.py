"""Scores of an evaluation on frames whose numbers are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.plane_model import plane_card

from dense_perception.cli.evaluating.pictures import EvaluationSheet
from dense_perception.cli.evaluating.scores import Scores
from dense_perception.cli.observer import Sample
from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.cloud import CloudBuilder
from dense_perception.geometry.mount import Mount
from dense_perception.metrics import ObstacleGrid

CAMERA = Intrinsics(60.0, 60.0, 39.5, 29.5, 80, 60)
MOUNT = Mount.from_pitch_roll(0.3, 0.0, 0.5)
GROUND = MOUNT.ground_depth(CAMERA)
BOX = np.where(np.arange(80) > 60, np.fmin(GROUND, 1.2), GROUND).astype(np.float32)
"""Flat ground, and on the right a wall across the view at a depth of 1.2 m."""


def sample(depth: np.ndarray, truth: np.ndarray, **changes: object) -> Sample:
    """A frame whose obstacles are what its depth has 0.1 m and more above the ground."""
    points = CloudBuilder().build(depth, CAMERA)
    height = MOUNT.height - depth * MOUNT.descent(CAMERA)
    values = Sample(0.0, np.zeros((60, 80, 3), np.uint8), depth, True, CAMERA, MOUNT, None, None,
                    truth, None, points[height > 0.1][None])
    return replace(values, **changes)


def scores(calibrated: bool = True, by_hand: Mount | None = None, **card: object) -> Scores:
    return Scores(plane_card(60, 80, **card), ObstacleGrid(), calibrated, by_hand)


def test_a_wall_is_marked_or_missed() -> None:
    for depth, truth, mark, clear in ((BOX, BOX, 0, 0), (GROUND, BOX, 0, 1)):
        found = scores()
        found.add(sample(depth, truth))
        result = found.result()['obstacles']
        assert result['occupied_cells'] > 0
        assert (result['false_mark'], result['false_clear']) == (mark, clear)
    found = scores()
    found.add(sample(BOX, GROUND))
    result = found.result()['obstacles']
    assert result['false_mark'] > 0 and result['occupied_cells'] == 0


def test_metres_count_only_where_metres_can_be_known() -> None:
    for calibrated, metric in ((False, True), (True, False)):
        found = scores(calibrated)
        found.add(sample(2 * BOX, BOX, metric=metric, obstacles=None))
        result = found.result()
        assert result['depth_metric'] is None and result['obstacles'] is None
        assert result['depth_aligned']['median']['abs_rel'] == pytest.approx(0, abs=1e-4)
    found = scores()
    found.add(sample(2 * BOX, BOX))
    assert found.result()['depth_metric']['abs_rel'] == pytest.approx(1)


def test_relative_output_is_aligned_as_its_model_needs() -> None:
    found = scores(depth_convention='inverse_affine', mount='none')
    with np.errstate(divide='ignore'):
        found.add(sample(3 / BOX + 1, BOX, metric=False))
    aligned = found.result()['depth_aligned']
    assert list(aligned) == ['affine_disparity']
    assert aligned['affine_disparity']['abs_rel'] < 1e-3


def test_a_mount_given_by_hand_goes_first() -> None:
    wrong = Mount.from_pitch_roll(0.3, 0.0, 5.0)
    found = scores(by_hand=MOUNT)
    found.add(sample(BOX, BOX, mount=wrong))
    assert found.result()['obstacles']['occupied_cells'] > 0
    assert scores().cells(sample(BOX, BOX, mount=None)) is None


def test_the_sheet_has_the_columns_that_there_is_something_for() -> None:
    found = scores()
    labels = np.zeros((60, 80), np.uint8)
    page = EvaluationSheet(plane_card(60, 80), found)
    full = page.paint([sample(BOX, GROUND, labels=labels, true_labels=labels)], 'title')
    assert full.shape[1] == 12 + 7 * 412
    bare = replace(sample(BOX, GROUND, metric=False), true_depth=None)
    assert page.paint([bare], 'title').shape[1] == 12 + 2 * 412

"""Depth boundary errors of shifted, blurred and missing edges."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dense_perception.metrics.boundaries import BoundaryAccuracy, boundary_errors, depth_edges

TRUTH = np.full((80, 100), 4.0, np.float32)
TRUTH[:, 50:] = 2.0


def test_an_edge_is_one_pixel_wide_and_only_where_depth_steps():
    edges = depth_edges(TRUTH)
    assert edges.sum(axis=1).max() == 1 and set(np.nonzero(edges)[1]) <= {49, 50}
    slope = np.broadcast_to(np.linspace(1, 5, 100, dtype=np.float32), (80, 100))
    assert not depth_edges(slope).any()


@pytest.mark.parametrize('shift', [1, 3, 6])
def test_a_shifted_edge_is_off_by_its_shift(shift: int):
    errors = boundary_errors(7 * np.roll(TRUTH, shift, axis=1)[:, 12:-12], TRUTH[:, 12:-12])
    assert errors == {'dbe_acc': pytest.approx(shift, abs=0.1),
                      'dbe_com': pytest.approx(shift, abs=0.1)}


def test_no_edge_is_as_bad_as_can_be_and_no_truth_is_no_figure():
    flat = np.full_like(TRUTH, 3.0)
    assert boundary_errors(cv2.GaussianBlur(TRUTH, (0, 0), 12), TRUTH) == {
        'dbe_acc': 10, 'dbe_com': 10}
    assert boundary_errors(TRUTH, flat) is None
    accuracy = BoundaryAccuracy()
    assert accuracy.result() is None
    for predicted in (TRUTH, flat):
        accuracy.add(predicted, TRUTH)
    assert accuracy.result() == {'dbe_acc': 5, 'dbe_com': 5}


def test_the_border_of_what_is_known_is_no_edge():
    depth = TRUTH.copy()
    depth[20:40, 20:40] = np.nan
    np.testing.assert_array_equal(depth_edges(depth), depth_edges(TRUTH))
    with pytest.raises(ValueError, match='differ in shape'):
        boundary_errors(depth[1:], depth)

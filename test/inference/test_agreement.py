"""Figures of two outputs whose differences are known."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.plane_model import plane_card

from dense_perception.inference.agreement import Agreement, Limits


def outputs(depth: float = 2.0, label: int = 0) -> dict[str, np.ndarray]:
    return {'depth': np.full((1, 4, 5), depth, np.float32),
            'labels': np.full((1, 4, 5), label, np.uint8)}


def test_equal_outputs_agree():
    agreement = Agreement(plane_card())
    agreement.add(outputs(), outputs())
    assert agreement.figures() == {'images': 1, 'abs_rel': 0, 'max_error': 0, 'd1': 1,
                                   'unknown_differ': 0, 'labels_differ': 0, 'miou': 1}
    assert agreement.problem(Limits()) is None


def test_differences_are_measured_and_named():
    agreement = Agreement(plane_card())
    candidate = outputs()
    candidate['depth'][0, 0, 0] = 3.0
    candidate['depth'][0, 0, 1] = np.nan
    candidate['labels'][0, 0] = 1
    agreement.add(outputs(), candidate)
    agreement.add(outputs(), outputs())
    figures = agreement.figures()
    assert figures['abs_rel'] == pytest.approx(0.5 / 19 / 2) and figures['max_error'] == 0.5
    assert figures['d1'] == pytest.approx((18 / 19 + 1) / 2)
    assert figures['unknown_differ'] == pytest.approx(0.025)
    assert figures['labels_differ'] == pytest.approx(0.125)
    assert figures['miou'] == pytest.approx((35 / 40 + 0) / 2)
    problem = agreement.problem(Limits())
    assert 'on 2 images' in problem and 'abs_rel' not in problem
    assert 'labels_differ 0.1250 (at most 0.02)' in problem and 'unknown_differ 0.0250' in problem


def test_depth_without_metres_is_relative_to_the_largest():
    agreement = Agreement(plane_card(depth_convention='inverse_affine'))
    reference, candidate = outputs(0.0), outputs(0.1)
    reference['depth'][0, 0, 0] = candidate['depth'][0, 0, 0] = 10
    agreement.add(reference, candidate)
    assert agreement.figures()['max_error'] == pytest.approx(0.01)
    assert 'd1' not in agreement.figures()


def test_what_overflowed_is_refused():
    agreement = Agreement(plane_card())
    agreement.add(outputs(), outputs(np.nan))
    assert 'unknown_differ 1.0000' in agreement.problem(Limits())


def test_mattes_by_their_mean_difference():
    card = plane_card(outputs=('alpha',), tasks=('matting',), depth_convention=None)
    agreement = Agreement(card)
    alpha = np.linspace(0, 1, 20, dtype=np.float32).reshape(4, 5)
    agreement.add({'alpha': alpha}, {'alpha': np.minimum(alpha + 0.05, 1)})
    assert agreement.figures()['alpha_mad'] == pytest.approx(0.0475, abs=1e-4)
    assert 'alpha_mad 0.0475' in agreement.problem(Limits())


def test_normals_by_their_angle():
    card = plane_card(outputs=('normals',), tasks=('normals',), depth_convention=None)
    agreement = Agreement(card)
    up, ahead = (np.tile(np.float32(v), (1, 4, 5, 1)) for v in ((0, -1, 0), (0, 0, -1)))
    agreement.add({'normals': up}, {'normals': ahead})
    assert agreement.figures()['normals_degrees'] == pytest.approx(90)

"""Scale over time: held, smoothed, not fooled by jumps, and its drift known."""

from __future__ import annotations

import math

import pytest

from dense_perception.geometry.scale import Alignment
from dense_perception.geometry.scale_filter import DRIFT_WINDOW_S, ScaleFilter

REASON = 'no ground in view'


def fit(scale: float, shift: float = 0.0, ambiguity: str = 'scale') -> Alignment:
    return Alignment(ambiguity, scale, shift, centre=2.0)


def test_the_last_scale_is_held_for_a_while_and_said_so():
    scales = ScaleFilter(0.0, 0.5)
    assert scales.update(REASON, 9.9).alignment is None
    assert scales.update(fit(2.0), 10.0) == scales.update(fit(2.0), 10.1)
    held = scales.update(REASON, 10.5)
    assert held.alignment == fit(2.0) and REASON in held.problem and 'held' in held.problem
    gone = scales.update(REASON, 10.7)
    assert gone.alignment is None and gone.problem == REASON
    assert scales.update(fit(2.0), 10.8).problem == ''


def test_smoothing_is_an_exponential_mean_of_scale_and_shift():
    scales = ScaleFilter(0.5, 0.0)
    scales.update(fit(1.0, 0.0, 'inverse_affine'), 0.0)
    found = scales.update(fit(1.1, 0.2, 'inverse_affine'), 0.5).alignment
    share = 1 - math.exp(-1)
    assert (found.scale, found.shift) == (pytest.approx(1 + 0.1 * share),
                                          pytest.approx(0.2 * share))
    far_later = scales.update(fit(1.0), 60.0).alignment
    assert far_later.scale == 1.0  # nothing that old counts


@pytest.mark.parametrize('factor', [1.5, 1 / 1.5])
def test_a_jump_counts_once_it_has_lasted(factor: float):
    scales = ScaleFilter(0.3, 5.0)
    for i in range(10):
        scales.update(fit(1.0), 0.1 * i)
    answers = [scales.update(fit(factor), 1.0 + 0.1 * i) for i in range(8)]
    assert [a.alignment is None for a in answers] == [True] * 5 + [False] * 3
    assert 'jumps' in answers[0].problem
    assert answers[-1].alignment.scale == factor


def test_two_scales_that_take_turns_never_pass_for_two():
    scales = ScaleFilter(0.0, 0.0)
    answers = [scales.update(fit(1.0 if i % 2 else 3.0), 0.1 * i) for i in range(40)]
    assert {a.alignment.scale for a in answers if a.alignment} == {3.0}
    assert sum(a.alignment is None for a in answers) == 20


def test_one_wrong_scale_is_left_out():
    scales = ScaleFilter(0.3, 1.0)
    for i in range(20):
        answer = scales.update(fit(9.0 if i == 10 else 1.0), 0.1 * i)
        assert (answer.alignment is None) == (i == 10)
    assert answer.alignment.scale == pytest.approx(1.0)


@pytest.mark.parametrize('ambiguity', ['scale', 'inverse_affine'])
def test_drift_is_the_change_of_depth_over_the_last_minute(ambiguity: str):
    scales = ScaleFilter(0.0, 0.0)
    assert scales.drift == 0
    grows = -1 if ambiguity == 'inverse_affine' else 1
    for i in range(3001):  # 1 % in ten seconds, for five minutes
        scales.update(fit(1.001 ** (grows * i / 10), 0.0, ambiguity), 0.1 * i)
    assert scales.drift == pytest.approx(1.001 ** DRIFT_WINDOW_S - 1, rel=0.03)
    assert len(scales._history) < 70


def test_time_that_runs_backwards_begins_anew():
    scales = ScaleFilter(10.0, 100.0)
    scales.update(fit(1.0), 50.0)
    assert scales.update(fit(7.0), 3.0).alignment.scale == 7.0
    assert scales.drift == 0
    assert scales.update(REASON, 1.0).alignment is None

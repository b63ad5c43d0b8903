"""Results as tables."""

from __future__ import annotations

import pytest

pytest.importorskip('torch', reason='training needs torch')

from dense_perception_training.report import over_seeds


def test_a_spread_needs_two_runs_and_a_mean_needs_one():
    runs = {'a': [{'d1': 0.5}, {'d1': 0.7}], 'b': [{'d1': 0.25}], 'c': []}
    assert over_seeds(runs, {'d1': 'd1'}).splitlines() == [
        '| row | d1 | seeds |', '|---|---|---|', '| a | 0.600 +- 0.141 | 2 |',
        '| b | 0.250 | 1 |', '| c | - | 0 |']

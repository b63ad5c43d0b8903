"""A run of so many minutes: stages keep their shares, and what was begun keeps its steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip('torch', reason='training needs torch')

from dense_perception_training import budget
from dense_perception_training.recipe import KEPT, Recipe
from dense_perception_training.train import main, train


def test_stages_are_shortened_alike(recipe: Recipe):
    stages = [replace(recipe.stages[0], steps=300), replace(recipe.stages[1], steps=100)]
    long = replace(recipe, stages=stages)
    steps = [s.steps for s in budget.shortened(long, [1.0, 3.0], 60.0).stages]
    assert steps == [30, 10]
    assert [s.steps for s in budget.shortened(long, [1.0, 3.0], 1200.0).stages] == [600, 200]
    assert [s.steps for s in budget.shortened(long, [1.0, 3.0], 0.1).stages] == [1, 1]


def test_a_run_takes_the_steps_that_were_measured(recipe: Recipe, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(budget, '_WARM_UP_S', 0.0)
    monkeypatch.setattr(budget, '_MEASURE_S', 0.0)
    measured: list[int] = []
    really = budget._seconds_per_step

    def seconds(trainer, stage: int) -> float:
        assert really(trainer, stage) > 0 and trainer.step == 0
        measured.append(stage)
        return 6.0
    monkeypatch.setattr(budget, '_seconds_per_step', seconds)
    run = tmp_path / 'run'
    train(recipe, run, 'cpu', minutes=0.4)  # 24 s of 6 s a step, shared by 3 + 3
    assert measured == [0, 1]
    assert [s.steps for s in Recipe.load(run / KEPT).stages] == [2, 2]
    # The same call again goes on with them, and measures nothing.
    train(recipe, run, 'cpu', minutes=0.4)
    assert measured == [0, 1]


def test_times_that_are_none(recipe_text: str, tmp_path: Path, capsys):
    path = tmp_path / 'recipe.yaml'
    path.write_text(recipe_text)
    for text in ('0', '-3', 'inf', 'soon'):
        with pytest.raises(SystemExit):
            main([str(path), '--minutes', text])
        assert '--minutes' in capsys.readouterr().err

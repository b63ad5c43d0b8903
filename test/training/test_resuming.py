"""Runs that are killed, stopped or short of disk: what they leave, and how they go on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip('torch', reason='training needs torch')

from dense_perception_training.interruption import StopSignals  # noqa: E402
from dense_perception_training.recipe import Recipe, RecipeError  # noqa: E402
from dense_perception_training.runlog import RunLog, draw_curves, read_log  # noqa: E402
from dense_perception_training.train import keep_recipe, train  # noqa: E402
from helpers.trainer import trainer_of  # noqa: E402


class Killed(Exception):
    """Stands for the power going off."""


def killed_at(recipe: Recipe, run: Path, step: int) -> None:
    """Train, and stop before ``step`` is computed, as if the process had been killed."""
    trainer = trainer_of(recipe, run)
    ordinary = trainer._train_step

    def until(batches):
        if trainer.step == step:
            raise Killed
        return ordinary(batches)

    trainer._train_step = until
    with pytest.raises(Killed):
        trainer.fit()
    trainer.log.close()


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / 'checkpoint.pt', weights_only=True)['model']


@pytest.mark.parametrize('kind', ['adamw', 'muon'])
def test_a_killed_run_resumes_to_the_same_weights_and_curve(kind: str, recipe: Recipe,
                                                            tmp_path: Path, monkeypatch):
    monkeypatch.setattr('dense_perception_training.engine._LOG_EVERY', 1)
    recipe = replace(recipe, save_every=2, optimiser=replace(recipe.optimiser, kind=kind))
    train(recipe, tmp_path / 'unbroken', 'cpu')
    killed_at(recipe, tmp_path / 'killed', 5)  # the last checkpoint is of step 4
    train(recipe, tmp_path / 'killed', 'cpu')
    resumed = weights_of(tmp_path / 'killed')
    for name, value in weights_of(tmp_path / 'unbroken').items():
        assert torch.equal(value, resumed[name]), name
    curves = [[(line['step'], line['train/loss']) for line in read_log(tmp_path / run)]
              for run in ('unbroken', 'killed')]
    assert curves[0] == curves[1]
    assert [step for step, _ in curves[0]] == [1, 2, 3, 4, 5, 6]
    assert (tmp_path / 'killed' / 'curves.png').stat().st_size > 1000


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_finishes_its_step_and_resumes_to_the_same_weights(
        number: signal.Signals, recipe: Recipe, tmp_path: Path):
    train(recipe, tmp_path / 'unbroken', 'cpu')
    handler = signal.getsignal(number)
    trainer = trainer_of(recipe, tmp_path / 'run')
    ordinary = trainer._train_step

    def interrupted(batches):
        if trainer.step == 3:
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)  # torchrun repeats what a terminal has sent to all
        return ordinary(batches)

    trainer._train_step = interrupted
    with pytest.raises(KeyboardInterrupt):
        trainer.fit()
    trainer.log.close()
    assert signal.getsignal(number) is handler
    assert torch.load(tmp_path / 'run' / 'checkpoint.pt', weights_only=True)['step'] == 4
    train(recipe, tmp_path / 'run', 'cpu')
    resumed = weights_of(tmp_path / 'run')
    for name, value in weights_of(tmp_path / 'unbroken').items():
        assert torch.equal(value, resumed[name]), name


def test_a_signal_some_time_after_the_first_stops_at_once(monkeypatch):
    clock = iter((0.0, 1.0, 10.0))
    monkeypatch.setattr('dense_perception_training.interruption.time.monotonic',
                        lambda: next(clock))
    with StopSignals() as signals:
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
            assert signals.received
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_two_processes_that_are_stopped_resume_to_the_same_weights(recipe_text: str,
                                                                   tmp_path: Path):
    (tmp_path / 'two.yaml').write_text(recipe_text)

    def start(name: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2',
             '-m', 'dense_perception_training.train', str(tmp_path / 'two.yaml'), '--device',
             'cpu', 'optimiser.kind=muon', 'save_every=1', 'stages.0.steps=30',
             'stages.0.batch=4', 'stages.1.batch=4', '--out',
             str(tmp_path / name)], env={**os.environ, 'OMP_NUM_THREADS': '1'})

    unbroken, stopped = start('unbroken'), start('stopped')
    checkpoint = tmp_path / 'stopped' / 'checkpoint.pt'
    while not checkpoint.exists():
        assert stopped.poll() is None
        time.sleep(0.05)
    stopped.send_signal(signal.SIGTERM)
    stopped.wait()
    assert 0 < torch.load(checkpoint, weights_only=True)['step'] < 33
    assert start('stopped').wait() == unbroken.wait() == 0
    resumed = weights_of(tmp_path / 'stopped')
    for name, value in weights_of(tmp_path / 'unbroken').items():
        assert torch.equal(value, resumed[name]), name


def test_a_full_disk_keeps_the_last_checkpoint(recipe: Recipe, tmp_path: Path, monkeypatch,
                                               recipe_text: str):
    run = tmp_path / 'run'
    train(recipe, run, 'cpu')
    before = (run / 'checkpoint.pt').read_bytes()
    trainer = trainer_of(recipe, run)

    def full(path, state, **_):
        Path(path).write_bytes(b'half of it')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(trainer.fabric, 'save', full)
    with pytest.raises(OSError, match='No space left'):
        trainer.save()
    assert (run / 'checkpoint.pt').read_bytes() == before
    trainer.log.close()
    assert trainer_of(recipe, run).step == recipe.total_steps


def test_a_run_folder_keeps_its_recipe(recipe: Recipe, tmp_path: Path):
    train(recipe, tmp_path / 'run', 'cpu')
    keep_recipe(replace(recipe, save_every=7), tmp_path / 'run')
    kept = tmp_path / 'run' / 'recipe.yaml'  # of a version that did not know the key yet
    kept.write_text(re.sub(r' +also: \[\]\n', '', kept.read_text()))
    assert 'also' not in kept.read_text()
    keep_recipe(recipe, tmp_path / 'run')
    with pytest.raises(RecipeError, match='begun with another recipe: seed differ'):
        keep_recipe(replace(recipe, seed=1), tmp_path / 'run')


def test_a_log_resumes_where_the_checkpoint_was(tmp_path: Path):
    log = RunLog(tmp_path, 0)
    for step in (1, 2, 3):
        log.scalars(step, {'loss': 1 / step})
    log.close()
    with (tmp_path / 'log.jsonl').open('a') as file:
        file.write('{"step": 4, "train/lo')  # killed while writing
    log = RunLog(tmp_path, 2)
    log.scalars(3, {'loss': 0.5})
    log.close()
    assert [(line['step'], line['train/loss']) for line in read_log(tmp_path)] == [
        (1, 1.0), (2, 0.5), (3, 0.5)]
    assert draw_curves(tmp_path).name == 'curves.png'

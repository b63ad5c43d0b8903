"""The training loop on a tiny world whose truth is exact: flat ground."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch')

from dense_perception_training.engine import NotANumberError  # noqa: E402
from dense_perception_training.feeding import class_weights, open_batches  # noqa: E402
from dense_perception_training.interruption import StopSignals  # noqa: E402
from dense_perception_training.mgda import gram_of, min_norm_weights  # noqa: E402
from dense_perception_training.optimiser import (  # noqa: E402
    encoder_layers,
    learning_rate,
    make_optimiser,
    set_learning_rate,
)
from dense_perception_training.recipe import Optimiser, Recipe, RecipeError, Source  # noqa: E402
from dense_perception_training.runlog import RunLog, draw_curves, read_log  # noqa: E402
from dense_perception_training.shards import ShardError, list_shards, write_shard  # noqa: E402
from dense_perception_training.starting import make_fabric  # noqa: E402
from dense_perception_training.train import keep_recipe, main, train  # noqa: E402
from helpers.ground import ground_frame  # noqa: E402
from helpers.trainer import trainer_of  # noqa: E402
from torch import nn  # noqa: E402

from dense_perception.export.onnx_export import export_model  # noqa: E402
from dense_perception.export.weights import load_weights  # noqa: E402
from dense_perception.inference.predictor import Predictor  # noqa: E402
from dense_perception.world.classes import GROUND, SKY  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


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


def test_accumulated_parts_make_the_same_step_as_one_batch(recipe: Recipe, tmp_path: Path):
    # Without batch statistics a batch in two parts is the same mean of gradients.
    trainer = trainer_of(recipe, tmp_path / 'run')
    for module in trainer.model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    batch = open_batches(recipe, recipe.stages[0], 4, (0, 0))[0]
    batch['depth'] = batch['depth'].nan_to_num(2.0)  # as many valid pixels in each part
    batch['known'] = torch.ones(4)
    batch['camera_height'] = torch.ones(4)
    batch['labels'][:] = 0

    def gradients(batches):
        trainer.optimiser.zero_grad()
        trainer._backward(batches)
        return [p.grad.clone() for p in trainer.model.parameters()]

    parts = [{k: v[i:i + 2] if v.ndim else v for k, v in batch.items()} for i in (0, 2)]
    for whole, sum_of_parts in zip(gradients([batch]), gradients(parts), strict=True):
        torch.testing.assert_close(whole, sum_of_parts, rtol=1e-3, atol=1e-5)


def test_trained_weights_export_and_start_another_run(recipe: Recipe, tmp_path: Path):
    train(recipe, tmp_path / 'run', 'cpu')
    model, card = load_weights(tmp_path / 'run')
    assert card.training_data == 'world' and card.input_size == (64, 64)
    assert [c.name for c in card.classes][:2] == ['ground', 'wall']
    export_model(model, card, tmp_path / 'model.onnx')
    assert Predictor(tmp_path / 'model.onnx').card.takes_mount
    again = replace(recipe, model=replace(recipe.model, weights=str(tmp_path / 'run')))
    started = trainer_of(again, tmp_path / 'again').model.state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(value, started[name]), name


def test_starting_from_a_run_with_its_own_seed_is_said(recipe: Recipe, tmp_path: Path, capsys):
    train(recipe, tmp_path / 'run', 'cpu')
    assert 'another seed' not in capsys.readouterr().out
    again = replace(recipe, model=replace(recipe.model, weights=str(tmp_path / 'run')))
    trainer_of(again, tmp_path / 'same')
    assert 'was trained with seed 0, too' in capsys.readouterr().out
    trainer_of(replace(again, seed=1), tmp_path / 'other')
    (tmp_path / 'run' / 'recipe.yaml').write_text('}')
    trainer_of(again, tmp_path / 'unreadable')
    assert 'another seed' not in capsys.readouterr().out


def test_a_run_starts_from_weights_of_a_smaller_model_but_not_of_a_larger(
        recipe: Recipe, tmp_path: Path, capsys):
    plain = replace(recipe, model=replace(recipe.model, options={'blend': 0}))
    train(plain, tmp_path / 'plain', 'cpu')
    start = replace(recipe, model=replace(recipe.model, weights=str(tmp_path / 'plain')))
    model = trainer_of(start, tmp_path / 'more').model
    assert 'begun anew: pfp.blend.weight, pfp.blend.bias' in capsys.readouterr().out
    learnt = load_weights(tmp_path / 'plain')[0].state_dict()
    assert all(torch.equal(model.state_dict()[name], value) for name, value in learnt.items())
    train(recipe, tmp_path / 'run', 'cpu')
    less = replace(plain, model=replace(plain.model, weights=str(tmp_path / 'run')))
    with pytest.raises(RecipeError, match='has what xnet_small has not: pfp.blend.weight'):
        trainer_of(less, tmp_path / 'less')


def test_validation_leaves_numbers_and_a_picture(recipe: Recipe, data: Path, tmp_path: Path):
    recipe = replace(recipe, validation=[Source('world', str(data))], validation_frames=3,
                     validate_every=3)
    train(recipe, tmp_path / 'run', 'cpu')
    lines = [line for line in read_log(tmp_path / 'run') if 'validation/abs_rel' in line]
    assert [line['step'] for line in lines] == [3, 6, 6]
    assert all(0 <= line['validation/miou'] <= 1 for line in lines)
    assert list((tmp_path / 'run' / 'tensorboard').glob('events.*'))


def test_a_loss_that_is_not_finite_stops_with_the_batch_saved(recipe: Recipe, tmp_path: Path):
    trainer = trainer_of(recipe, tmp_path / 'run')
    with torch.no_grad():
        trainer.model.head.linear.bias.fill_(float('nan'))
    with pytest.raises(NotANumberError, match='not_finite_batch'):
        trainer.fit()
    saved = torch.load(tmp_path / 'run' / 'not_finite_batch_0.pt', weights_only=True)
    assert saved['image'].shape == (2, 32, 32, 3)


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


def test_command_line(recipe_text: str, tmp_path: Path, capsys):
    path = tmp_path / 'r.yaml'
    path.write_text(recipe_text)
    with pytest.raises(SystemExit, match="Did you mean: 'ema_decay'"):
        main([str(path), 'ema_deacy=0.9', '--device', 'cpu'])
    with pytest.raises(SystemExit, match='there is no recipe xnet_smal; similar: xnet_small'):
        main(['recipe=xnet_smal'])
    with pytest.raises(SystemExit, match='cannot be shared by 1 processes in 2 parts'):
        main([str(path), 'accumulate=2', 'stages.0.batch=3', '--device', 'cpu', '--out',
              str(tmp_path / 'odd')])
    with pytest.raises(SystemExit, match='unknown model'):
        main([str(path), 'model.name=xnet_smal', '--device', 'cpu', '--out',
              str(tmp_path / 'none')])
    main([str(path), '--device', 'cpu', '--measure-loading', '6'])
    assert re.search(r'images/s with loading, .* on cached batches: \d', capsys.readouterr().out)
    main([str(path), 'stages.0.steps=1', 'stages.1.steps=1', '--device', 'cpu', '--out',
          str(tmp_path / 'run')])
    assert (tmp_path / 'run' / 'weights.safetensors').exists()


def test_batches_follow_from_seed_and_step_alone(recipe: Recipe):
    first, again = (open_batches(recipe, recipe.stages[0], 3, (7, 0)) for _ in range(2))
    other = open_batches(recipe, recipe.stages[0], 3, (7, 1))
    for key, value in first[11].items():
        torch.testing.assert_close(value, again[11][key], equal_nan=True)
    assert first[11]['image'].shape == (3, 32, 32, 3)
    assert not torch.equal(first[11]['image'], other[11]['image'])


def test_batches_of_a_stage_with_several_sizes_have_one_of_them_each(recipe: Recipe,
                                                                     tmp_path: Path):
    stage = replace(recipe.stages[0], also=[[64, 32], [32, 96]])
    recipe = replace(recipe, stages=[stage, recipe.stages[1]])
    trainers = [trainer_of(replace(recipe, accumulate=2), tmp_path / run)
                for run in ('first', 'again')]
    sizes = [[tuple(part['image'].shape[1:3]) for parts in trainer._steps(0, 12)
              for part in parts] for trainer in trainers]
    assert set(sizes[0]) == {(32, 32), (64, 32), (32, 96)}
    assert sizes[0] == sizes[1]
    train(recipe, tmp_path / 'run', 'cpu')
    assert load_weights(tmp_path / 'run')[1].input_size == (64, 64)
    assert Recipe.load(tmp_path / 'run' / 'recipe.yaml') == recipe


@pytest.mark.parametrize(('also', 'message'), [
    ([[64]], r'stages.also is a list of \[height, width\], not \[\[64\]\]'),
    ([[64, 32], [0, 32]], 'of 2 images of 0x32 is not positive'),
    ([64, 32], r'stages.also is a list of \[height, width\], not \[64, 32\]')])
def test_sizes_that_cannot_be_are_refused(also: list, message: str, recipe_text: str,
                                          tmp_path: Path):
    (tmp_path / 'recipe.yaml').write_text(recipe_text)
    with pytest.raises(RecipeError, match=message):
        Recipe.load(tmp_path / 'recipe.yaml', [f'stages.0.also={also}'])


def test_sizes_that_the_network_does_not_take_are_refused_at_once(recipe: Recipe, tmp_path: Path):
    stage = replace(recipe.stages[0], also=[[64, 40]])
    with pytest.raises(RecipeError, match='64x40 is not a multiple of 32; .* to 64x64'):
        trainer_of(replace(recipe, stages=[stage]), tmp_path / 'run')


def test_rare_classes_weigh_more(recipe: Recipe):
    weights = class_weights(recipe, 8, 0.4)
    shares = [(ground_frame(0).labels == c).mean() for c in (GROUND, SKY)]
    rarer, commoner = np.array((GROUND, SKY))[np.argsort(shares)]
    assert weights[rarer] > weights[commoner]
    assert np.mean(weights) == pytest.approx(1.0)


def test_learning_rate_warms_up_and_falls_in_every_stage(recipe: Recipe):
    rates = [learning_rate(recipe, step) for step in range(recipe.total_steps)]
    assert rates[0] == pytest.approx(0.5e-3)
    assert rates[1] < 1e-3
    assert rates[3] == pytest.approx(5e-4)
    assert rates[-1] < rates[3]
    poly = replace(recipe, warmup_steps=0, stages=[
        replace(recipe.stages[0], steps=10, decay='poly', power=0.9, lr=1.0, lr_end=0.0)])
    assert learning_rate(poly, 5) == pytest.approx(0.5 ** 0.9)


class TwoBlocks(nn.Module):
    """An encoder as timm names its layers."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Module()
        body = self.encoder.body = nn.Module()
        body.pos_embed = nn.Parameter(torch.zeros(1, 4, 2))
        body.stem = nn.Linear(2, 2)
        body.blocks = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
        body.norm = nn.LayerNorm(2)
        self.head = nn.Linear(2, 1)


def test_layer_decay_and_weight_decay_groups():
    model = TwoBlocks()
    assert encoder_layers(model.encoder) == {
        'body.pos_embed': 0, 'body.stem.weight': 0, 'body.stem.bias': 0,
        'body.blocks.0.weight': 1, 'body.blocks.0.bias': 1, 'body.blocks.1.weight': 2,
        'body.blocks.1.bias': 2, 'body.norm.weight': 2, 'body.norm.bias': 2}
    optimiser = make_optimiser(model, Optimiser(weight_decay=0.1, encoder_factor=0.5,
                                                layer_decay=0.8))
    found = {id(p): (g['factor'], g['weight_decay']) for g in optimiser.param_groups
             for p in g['params']}
    body = model.encoder.body
    assert found[id(model.head.weight)] == (1.0, 0.1)
    assert found[id(model.head.bias)] == (1.0, 0.0)
    assert found[id(body.blocks[1].weight)] == (0.5, 0.1)
    assert found[id(body.blocks[0].weight)] == (pytest.approx(0.4), 0.1)
    assert found[id(body.stem.weight)] == (pytest.approx(0.32), 0.1)
    assert found[id(body.pos_embed)] == (pytest.approx(0.32), 0.0)
    assert found[id(body.norm.weight)] == (0.5, 0.0)


def test_muon_orthogonalises_matrices_and_leaves_the_rest_to_adamw():
    model = nn.Module()
    model.matrix, model.depthwise = nn.Conv2d(8, 16, 3), nn.Conv2d(8, 8, 3, groups=8)
    optimiser = make_optimiser(model, Optimiser(kind='muon', weight_decay=0.0, momentum=0.95,
                                                vector_factor=0.1))
    set_learning_rate(optimiser, 0.01)
    torch.manual_seed(0)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimiser.step()
    moved = {n: p.detach() - before[n] for n, p in model.named_parameters()}
    # Every direction of the kernel as a matrix (16, 72) moves alike, by AdamW's usual step.
    stretch = torch.linalg.svdvals(moved['matrix.weight'].flatten(1)) / (0.01 * 0.2 * 72 ** 0.5)
    assert stretch.min() > 0.6 and stretch.max() < 1.4
    # AdamW's first step is the rate in every element (1.9 times it, by Nesterov's momentum).
    for name in ('matrix.bias', 'depthwise.weight', 'depthwise.bias'):
        step = moved[name].abs()
        assert step.min() > 0.5e-3 and step.max() < 2e-3, name


def test_muon_is_refused_where_weights_are_sharded(recipe: Recipe):
    recipe = replace(recipe, ema_decay=0.0, optimiser=Optimiser(kind='muon'))
    with pytest.raises(RecipeError, match='other than muon'):
        make_fabric('cpu', 2, 1, recipe, sharded=True)


@pytest.mark.parametrize('name', ['convnext_atto', 'vit_tiny_patch16_224',
                                  'swin_tiny_patch4_window7_224', 'mobilenetv4_conv_small'])
def test_real_encoders_have_a_depth_for_every_block(name):
    from dense_perception.models.encoders import create_encoder
    with torch.device('meta'):
        layers = encoder_layers(create_encoder(name))
    depths = list(layers.values())
    assert depths == sorted(depths)
    assert max(depths) >= 10


def test_mgda_finds_the_least_norm_combination():
    gradients = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    weights = min_norm_weights(gram_of([[g] for g in gradients]))
    assert weights.tolist() == pytest.approx([0.8, 0.2], abs=1e-3)
    combined = weights @ gradients
    assert all(combined @ g > 0 for g in gradients)  # a step that makes neither worse
    opposed = torch.tensor([[1.0, 0.0], [-3.0, 0.0]])
    weights = min_norm_weights(gram_of([[g] for g in opposed]))
    assert (weights @ opposed).norm() < 1e-3
    rng = torch.Generator().manual_seed(0)
    three = torch.randn(3, 6, generator=rng)
    gram = three @ three.T
    best = min_norm_weights(gram, 500)
    grid = [torch.tensor([a, b, 1 - a - b]) for a, b in
            itertools.product(torch.linspace(0, 1, 41), repeat=2) if a + b <= 1]
    assert best @ gram @ best <= min(w @ gram @ w for w in grid) + 1e-3


def test_mgda_trains_on_two_sources(recipe: Recipe, tmp_path: Path):
    recipe = replace(recipe, objective='mgda', accumulate=2, stages=[
        replace(recipe.stages[1], batch=4, steps=2)], sources=[*recipe.sources, *recipe.sources])
    batches = open_batches(recipe, recipe.stages[0], 2, (0, 0))
    assert not torch.equal(batches[0]['image'], batches[1]['image'])
    train(recipe, tmp_path / 'run', 'cpu')
    assert (tmp_path / 'run' / 'weights.safetensors').exists()


def test_recipes_are_checked(recipe_text: str, tmp_path: Path):
    path = tmp_path / 'recipe.yaml'

    def refuse(text: str, message: str, *overrides: str) -> None:
        path.write_text(text)
        with pytest.raises(RecipeError, match=message):
            Recipe.load(path, overrides)

    refuse('model: {name: xnet_small}', '"sources" is missing')
    refuse(recipe_text, "Did you mean: 'batch'", 'stages.0.bacth=3')
    refuse(recipe_text, 'could not be converted to Integer', 'stages.0.batch=many')
    refuse(recipe_text, 'is not key=value', 'seed')
    refuse(recipe_text, 'list index out of range', 'stages.5.batch=3')
    refuse(recipe_text, 'choose from cosine, poly, constant', 'stages.0.decay=linear')
    refuse(recipe_text, 'it needs several', 'objective=mgda')
    refuse(recipe_text, 'is for muon', 'optimiser.vector_factor=0.1')
    refuse(recipe_text, 'is not positive', 'stages.0.steps=0')
    refuse('[1, 2', 'is not a YAML mapping')
    with pytest.raises(RecipeError, match='there is no recipe'):
        Recipe.load(tmp_path / 'absent.yaml')
    path.write_text(recipe_text)
    assert Recipe.load(path, ['stages.1.lr=2e-4', 'model.options.depth=exp']).stages[1].lr == 2e-4


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


def test_missing_and_partial_shards(tmp_path: Path):
    with pytest.raises(ShardError, match='dense-perception-world'):
        list_shards(tmp_path)

    def broken():
        yield ground_frame(0)
        raise RuntimeError('power cut')

    with pytest.raises(RuntimeError, match='power cut'):
        write_shard(tmp_path / 'train_0', broken(), {})
    assert not (tmp_path / 'train_0').exists()
    with pytest.raises(ShardError):
        list_shards(tmp_path)

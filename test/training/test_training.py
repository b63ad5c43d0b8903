"""The training loop on a tiny world whose truth is exact: flat ground."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch')

from dense_perception_training.engine import NotANumberError  # noqa: E402
from dense_perception_training.feeding import class_weights, open_batches  # noqa: E402
from dense_perception_training.recipe import Recipe, RecipeError, Source  # noqa: E402
from dense_perception_training.runlog import read_log  # noqa: E402
from dense_perception_training.shards import ShardError, list_shards, write_shard  # noqa: E402
from dense_perception_training.train import main, train  # noqa: E402
from helpers.ground import ground_frame  # noqa: E402
from helpers.trainer import trainer_of  # noqa: E402
from torch import nn  # noqa: E402

from dense_perception.export.onnx_export import export_model  # noqa: E402
from dense_perception.export.weights import load_weights  # noqa: E402
from dense_perception.inference.predictor import Predictor  # noqa: E402
from dense_perception.models.xnet.variants import CONFIGS  # noqa: E402
from dense_perception.world.classes import GROUND, SKY  # noqa: E402


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


def test_a_deeper_model_begins_as_the_function_it_starts_from(
        recipe: Recipe, tmp_path: Path, capsys):
    train(recipe, tmp_path / 'run', 'cpu')
    shallow, card = load_weights(tmp_path / 'run')
    options = dict(CONFIGS['xnet_small'].decoder_options) | {'depths': (2, 3, 4, 4)}
    deeper = replace(recipe, model=replace(recipe.model, options={'decoder_options': options},
                                           weights=str(tmp_path / 'run')))
    trainer = trainer_of(deeper, tmp_path / 'deeper')
    said = capsys.readouterr().out
    assert 'begun as the identity: decoder.stages.1.blocks.2, decoder.stages.3.blocks.2, ' in said
    assert 'begun anew' not in said
    deep = trainer.model.eval()
    x = torch.rand(1, 5, 64, 64)
    for name, value in shallow.eval()(x).items():
        torch.testing.assert_close(deep(x)[name], value)
    trainer.fit()
    assert deep.decoder.stages[3].blocks[3].mlp.fc2.weight.abs().sum() > 0


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

"""A loss that learns along: D3-Predictor's alignment in the ordinary training loop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip('torch', reason='training needs torch')
pytest.importorskip('diffusers', reason='D3-Predictor is built on diffusers')

from dense_perception_training.losses import Criterion, LossError  # noqa: E402
from dense_perception_training.recipe import ModelChoice, Recipe, RecipeError, Stage  # noqa: E402
from dense_perception_training.train import train  # noqa: E402
from helpers.tiny_d3 import SHALLOW  # noqa: E402
from helpers.trainer import trainer_of  # noqa: E402

from dense_perception.export.weights import load_weights  # noqa: E402
from dense_perception.models import create_model  # noqa: E402

OPTIONS = {**SHALLOW, 'gradient_checkpointing': True}
LOSSES = [{'loss': 'expert_alignment', 'weight': 0.5},
          {'loss': 'depth_regression', 'weight': 32.0, 'kind': 'l2', 'space': 'unit'},
          {'loss': 'affine_invariant_l1', 'weight': 2.0, 'alignment': 'least_squares',
           'space': 'depth', 'trim': 0.0},
          {'loss': 'log_gradient', 'weight': 100.0}]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def tiny(recipe: Recipe) -> Recipe:
    """Three steps of the tiny D3-Predictor."""
    return replace(recipe, model=ModelChoice('d3_tiny_depth', OPTIONS), losses=LOSSES,
                   stages=[Stage(64, 64, 2, 3, 1e-3)], transforms=[], ema_decay=0.0,
                   warmup_steps=0, save_every=2)


def test_a_resumed_run_ends_at_the_same_weights_and_heads(tiny: Recipe, tmp_path: Path):
    train(tiny, tmp_path / 'unbroken', 'cpu')
    short = trainer_of(tiny, tmp_path / 'killed')
    for batches in short._steps(0, 2):
        short._train_step(batches)
        short.step += 1
    short.save()
    train(tiny, tmp_path / 'killed', 'cpu')
    states = [torch.load(tmp_path / run / 'checkpoint.pt', weights_only=True)
              for run in ('unbroken', 'killed')]
    key = 'loss expert_alignment'
    assert states[0][key].keys() == states[1][key].keys()
    assert {name.split('.')[1] for name in states[0][key]} == {'heads', 'context'}
    for part in ('model', key):
        for name, value in states[0][part].items():
            assert torch.equal(value, states[1][part][name]), name


def test_what_learns_and_what_does_not(tiny: Recipe, tmp_path: Path):
    trainer = trainer_of(tiny, tmp_path / 'run')
    loss = trainer.criterion.learned['expert_alignment']
    everything = {**{f'model.{k}': v for k, v in trainer.model.named_parameters()},
                  **{f'loss.{k}': v for k, v in loss.named_parameters()}}
    before = {name: value.detach().clone() for name, value in everything.items()}
    for batches in trainer._steps(0, 2):
        found = trainer._train_step(batches)
        trainer.step += 1
    trainer.log.close()
    assert set(found) == {'loss', 'expert_alignment', 'depth_regression', 'affine_invariant_l1',
                          'log_gradient'}
    changed = {tuple(part for part in name.split('.')
                     if part in ('denoiser', 'vae', 'timestep', 'experts', 'heads'))[0]
               for name, value in everything.items() if not torch.equal(value, before[name])}
    assert changed == {'denoiser', 'timestep', 'heads'}


def test_a_run_leaves_a_model_without_experts_and_heads(tiny: Recipe, tmp_path: Path):
    once = replace(tiny, stages=[Stage(64, 64, 2, 1, 1e-3)], precision='bf16-mixed', accumulate=2)
    train(once, tmp_path / 'run', 'cpu')
    model, card = load_weights(tmp_path / 'run')
    assert {name.split('.')[0] for name in model.state_dict()} == {'denoiser', 'vae', 'timestep',
                                                                  'context'}
    assert card.outputs == ('depth',) and card.depth_convention == 'affine'


def test_experts_are_the_model_that_the_run_began_with(tiny: Recipe):
    model = create_model('d3_tiny_depth', **SHALLOW)
    bound = Criterion.from_config(LOSSES).bound(model)
    experts = bound.learned['expert_alignment'].alignment.experts
    assert not any(p.requires_grad for p in experts.parameters())
    with torch.no_grad():
        model.denoiser.conv_in.weight.add_(1)
    assert (model.denoiser.conv_in.weight - experts.conv_in.weight).allclose(torch.tensor(1.0))


def test_it_is_refused_where_it_would_not_be_trained(tiny: Recipe, tmp_path: Path):
    with pytest.raises(LossError, match='XNet is none'):
        Criterion.from_config(LOSSES).bound(create_model('xnet_small'))
    twice = replace(tiny, sources=tiny.sources * 2, objective='mgda', accumulate=2)
    with pytest.raises(RecipeError, match='objective=sum'):
        trainer_of(twice, tmp_path / 'mgda')

"""Learning rates, groups of parameters, Muon and the weighing of sources' gradients."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip('torch', reason='training needs torch')

from dense_perception_training.feeding import open_batches  # noqa: E402
from dense_perception_training.mgda import gram_of, min_norm_weights  # noqa: E402
from dense_perception_training.optimiser import (  # noqa: E402
    encoder_layers,
    learning_rate,
    make_optimiser,
    set_learning_rate,
)
from dense_perception_training.recipe import Optimiser, Recipe, RecipeError  # noqa: E402
from dense_perception_training.starting import make_fabric  # noqa: E402
from dense_perception_training.train import train  # noqa: E402
from torch import nn  # noqa: E402


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

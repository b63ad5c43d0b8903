"""Batch norms that were merged into convolutions learn again what reaches them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip('torch', reason='training needs torch')

from dense_perception_training.average import average  # noqa: E402
from dense_perception_training.feeding import network_input, open_batches  # noqa: E402
from dense_perception_training.norms import spread_norms  # noqa: E402
from dense_perception_training.recipe import ModelChoice, Recipe  # noqa: E402
from dense_perception_training.starting import open_weights, start_model  # noqa: E402
from dense_perception_training.train import main, train  # noqa: E402

from dense_perception.export.reopen import reopen  # noqa: E402
from dense_perception.export.weights import load_weights  # noqa: E402
from dense_perception.models import model_entry  # noqa: E402


@pytest.fixture(scope='module')
def reopened():
    return reopen('xnet_small')


def test_spread_norms_change_nothing_but_the_statistics(reopened, recipe: Recipe):
    x = torch.rand(2, 5, 64, 64)
    with torch.no_grad():
        before = reopened.model(x)
    spread_norms(reopened.model, reopened.norms, recipe, 3)
    with torch.no_grad():
        after = reopened.model(x)
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=0, atol=1e-3)
    for name in ('encoder.body.bn1', 'encoder.body.blocks.2.1.pw_exp.bn'):
        norm, seen = reopened.model.get_submodule(name), []
        hook = norm.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0]))
        batches = open_batches(recipe, 0, 2, (recipe.seed, 0))
        with torch.no_grad():
            for step in range(3):
                reopened.model(network_input(batches[step], model_entry('xnet_small').input, 5))
        hook.remove()
        values = torch.cat(seen).transpose(0, 1).flatten(1)
        torch.testing.assert_close(norm.running_mean, values.mean(1), rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(norm.running_var, values.var(1, unbiased=False), rtol=1e-3,
                                   atol=1e-3)
        # All channels have one spread, so that a step means as much for each of them.
        lively = norm.running_var[norm.running_var > 0.1 * norm.running_var.max()]
        assert lively.std() < 0.05 * lively.mean()


def test_convolutions_before_merged_norms_get_the_size_of_the_others(recipe: Recipe):
    reopened = reopen('xnet_small')

    def size(name: str) -> float:
        weight = reopened.model.get_submodule(name).weight.detach().flatten(1)
        return float(torch.linalg.svdvals(weight).square().mean().sqrt() / min(weight.shape) ** .5)

    merged, other = 'encoder.body.blocks.2.1.pw_exp.conv', 'decoder.stages.2.blocks.1.mlp.fc1'
    kept = size(other)
    assert size(merged) < kept / 3
    spread_norms(reopened.model, reopened.norms, recipe, 1)
    assert size(other) == kept
    assert size(merged) == pytest.approx(kept, rel=0.3)


def test_a_run_begins_with_a_model_file(recipe: Recipe, tmp_path: Path):
    start = replace(recipe, model=ModelChoice('xnet_small', weights='xnet_small'))
    model = start_model(start).eval()
    x = torch.rand(1, 5, 64, 64)
    with torch.no_grad():
        for name, value in reopen('xnet_small').model(x).items():
            torch.testing.assert_close(model(x)[name], value, rtol=0, atol=1e-3)
    train(start, tmp_path / 'run', 'cpu')
    average([(tmp_path / 'run', 1.0), (Path('xnet_small'), 1.0)], tmp_path / 'mean')
    first, second = load_weights(tmp_path / 'run')[0], open_weights('xnet_small', start)[0]
    key = 'encoder.body.conv_stem.weight'
    torch.testing.assert_close(
        load_weights(tmp_path / 'mean')[0].state_dict()[key],
        (first.state_dict()[key] + second.state_dict()[key]) / 2)


def test_weights_that_are_not_there(recipe_text: str, tmp_path: Path, monkeypatch):
    path = tmp_path / 'recipe.yaml'
    path.write_text(recipe_text)
    with pytest.raises(SystemExit, match='dense-perception-train: .*nowhere has no weights'):
        main([str(path), f'model.weights={tmp_path / "nowhere"}', '--device', 'cpu',
              '--out', str(tmp_path / 'run')])
    broken = tmp_path / 'broken.onnx'
    broken.write_bytes(b'nothing')
    with pytest.raises(SystemExit, match='dense-perception-train: .*broken.onnx'):
        main([str(path), f'model.weights={broken}', '--device', 'cpu',
              '--out', str(tmp_path / 'run')])

"""The mean of runs: of their weights exactly, with batch norms that fit it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip('torch', reason='training needs torch')

from dense_perception_training.average import average, main  # noqa: E402
from dense_perception_training.feeding import network_input, open_batches  # noqa: E402
from dense_perception_training.recipe import Recipe  # noqa: E402
from dense_perception_training.train import train  # noqa: E402
from torch import nn  # noqa: E402

from dense_perception.export.cards import card_for  # noqa: E402
from dense_perception.export.weights import WeightsError, load_weights, save_weights  # noqa: E402
from dense_perception.models import create_model, model_entry  # noqa: E402
from dense_perception.world.classes import CLASSES  # noqa: E402


@pytest.fixture
def runs(recipe: Recipe, tmp_path: Path) -> list[Path]:
    """Two runs of six steps with different seeds."""
    out = [tmp_path / 'runs' / str(seed) for seed in (1, 2)]
    for seed, run in enumerate(out, 1):
        train(replace(recipe, seed=seed), run, 'cpu')
    return out


def state(run: Path) -> dict[str, torch.Tensor]:
    return load_weights(run)[0].state_dict()


def test_mean_of_weights(runs: list[Path], tmp_path: Path):
    average([(runs[0], 3.0), (runs[1], 1.0)], tmp_path / 'mean')
    first, second, mean = (state(run) for run in (*runs, tmp_path / 'mean'))
    assert any(not torch.equal(first[k], second[k]) for k in first)
    for key, value in mean.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, 0.75 * first[key] + 0.25 * second[key])
    card = load_weights(tmp_path / 'mean')[1]
    assert card == load_weights(runs[0])[1]


@pytest.mark.parametrize('changed', [{}, {'transforms': []}])
def test_batch_norms_are_those_of_the_mean(runs: list[Path], recipe: Recipe, tmp_path: Path,
                                           changed: dict[str, Any]):
    assert recipe.transforms
    main([*map(str, runs), '--out', str(tmp_path / 'mean'), '--batches', '3',
          *(f'--set={key}={value}' for key, value in changed.items())])
    model = load_weights(tmp_path / 'mean')[0].eval()
    seen: dict[str, list[torch.Tensor]] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_pre_hook(
                lambda _, args, name=name: seen.setdefault(name, []).append(args[0].detach()))
    batches = open_batches(replace(recipe, seed=1, **changed), recipe.stages[1], 2, (1, 0))
    spec = model_entry('xnet_small').input
    for step in range(3):
        model(network_input(batches[step], spec, 5))
    # Before the first of them there is none whose statistics would tell.
    name = next(iter(seen))
    norm = model.get_submodule(name)
    expected = torch.stack([x.mean(dim=(0, 2, 3)) for x in seen[name]]).mean(dim=0)
    torch.testing.assert_close(norm.running_mean, expected, rtol=1e-4, atol=1e-5)
    others = [state(run)[f'{name}.running_mean'] for run in runs]
    assert not torch.allclose(norm.running_mean, sum(others) / 2, rtol=1e-3)
    weight = f'{name}.weight'
    torch.testing.assert_close(state(tmp_path / 'mean')[weight],
                               (state(runs[0])[weight] + state(runs[1])[weight]) / 2)


def test_what_has_no_mean_is_refused(tmp_path: Path, capsys):
    options = {'blend': 0}
    save_weights(create_model('xnet_small'), card_for('xnet_small', classes=CLASSES),
                 tmp_path / 'a')
    save_weights(create_model('xnet_small', **options),
                 card_for('xnet_small', options, CLASSES), tmp_path / 'b')
    out = tmp_path / 'out'
    with pytest.raises(WeightsError, match='only weights of one model have a mean'):
        average([(tmp_path / 'a', 1.0), (tmp_path / 'b', 1.0)], out)
    with pytest.raises(WeightsError, match='has no weights.safetensors'):
        average([(tmp_path / 'a', 1.0), (tmp_path / 'c', 1.0)], out)
    with pytest.raises(ValueError, match='positive numbers, not .*a=0'):
        average([(tmp_path / 'a', 0.0)], out)
    with pytest.raises(SystemExit, match='dense-perception-average: .*recipe'):
        main([str(tmp_path / 'a'), '--out', str(out), '--batches', '2'])
    with pytest.raises(ValueError, match='no run'):
        average([], out)
    with pytest.raises(SystemExit):
        main([f'{tmp_path / "a"}=much', '--out', str(out)])
    assert '"much" in ' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([str(tmp_path / 'a'), '--out', str(out), '--set', 'transforms=[]'])
    assert 'give --batches' in capsys.readouterr().err
    assert not out.exists()

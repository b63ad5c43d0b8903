"""A run begins with a model file: with the weights it was exported from, norms included."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip('torch', reason='training needs torch')

from dense_perception_training.average import average  # noqa: E402
from dense_perception_training.recipe import ModelChoice, Recipe  # noqa: E402
from dense_perception_training.starting import start_model  # noqa: E402
from dense_perception_training.train import main, train  # noqa: E402

from dense_perception.export.onnx_export import export_model  # noqa: E402
from dense_perception.export.weights import load_weights  # noqa: E402

NORM, CONV = 'encoder.body.bn1', 'encoder.body.conv_stem'


@pytest.fixture
def run(recipe: Recipe, tmp_path: Path) -> Path:
    """A run of six steps."""
    train(recipe, tmp_path / 'run', 'cpu')
    return tmp_path / 'run'


@pytest.fixture
def file(run: Path, tmp_path: Path) -> Path:
    """Its model file."""
    export_model(*load_weights(run), tmp_path / 'model.onnx')
    return tmp_path / 'model.onnx'


def test_a_run_begins_where_the_exported_one_ended(run: Path, file: Path, recipe: Recipe,
                                                   tmp_path: Path):
    start = replace(recipe, seed=2, model=ModelChoice('xnet_small', weights=str(file)))
    exported, begun = load_weights(run)[0].state_dict(), start_model(start).state_dict()
    for name in (f'{CONV}.weight', f'{NORM}.weight', f'{NORM}.running_var'):
        torch.testing.assert_close(begun[name], exported[name], rtol=1e-3, atol=1e-5)
    train(start, tmp_path / 'on', 'cpu')
    average([(tmp_path / 'on', 1.0), (file, 3.0)], tmp_path / 'mean')
    key = f'{CONV}.weight'
    expected = 0.25 * load_weights(tmp_path / 'on')[0].state_dict()[key] + 0.75 * exported[key]
    torch.testing.assert_close(load_weights(tmp_path / 'mean')[0].state_dict()[key], expected,
                               rtol=1e-3, atol=1e-5)


def test_weights_that_are_not_there(recipe_text: str, tmp_path: Path):
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

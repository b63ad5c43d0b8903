"""``dense-perception export``: a file, or one sentence for what cannot be exported."""

from __future__ import annotations

from pathlib import Path

import pytest

from dense_perception.cli.main import main
from dense_perception.inference.predictor import Predictor

pytest.importorskip('torch', reason='export needs torch')


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(['export', *map(str, arguments)]) == 1
    error = capsys.readouterr().err
    assert error.count('\n') == 1
    return error


def test_a_variant_with_random_weights_becomes_a_model_file(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / 'new' / 'timing.onnx'
    assert main(['export', 'xnet_small', '--random-weights', '--size', '64x96', '--out',
                 str(path)]) == 0
    assert '96x64' in capsys.readouterr().out
    card = Predictor(path).card
    assert (card.name, card.input_size) == ('timing', (64, 96))
    assert card.training_data == 'none: random weights'
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(('arguments', 'reason'), [
    (['nothing'], 'nothing has no weights.safetensors'),
    (['xnet_smal', '--random-weights'], 'did you mean one of xnet_small'),
    (['xnet_small', '--random-weights', '--size', '60x90'], '60x90 is not a multiple of 32'),
    (['xnet_small', '--random-weights', '--size', '64'], 'not a size such as 256x320'),
    (['xnet_small', '--random-weights', '--size', '0x64'], 'not a size such as 256x320'),
    (['xnet_small', '--random-weights', '--image-size', '640x480'], 'stretches any image'),
])
def test_refusals_say_what_would_be_right(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                          arguments: list[str], reason: str):
    assert reason in refusal(capsys, *arguments, '--out', tmp_path / 'model.onnx')
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_no_runtime_knows_is_refused(tmp_path: Path,
                                                 capsys: pytest.CaptureFixture[str]):
    assert 'does not end in .onnx' in refusal(
        capsys, 'xnet_small', '--random-weights', '--out', tmp_path / 'model')


def test_both_sizes_at_once_are_wrong_usage(tmp_path: Path):
    with pytest.raises(SystemExit):
        main(['export', 'x', '--out', 'y.onnx', '--size', '64x64', '--image-size', '64x64'])

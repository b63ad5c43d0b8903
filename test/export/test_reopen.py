"""A model file gives back the weights that it was made from, to train on."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip('torch', reason='model files are reopened with torch')

from torch import nn  # noqa: E402

from dense_perception.export.cards import card_for  # noqa: E402
from dense_perception.export.onnx_export import export_model  # noqa: E402
from dense_perception.export.reopen import reopen  # noqa: E402
from dense_perception.export.weights import WeightsError  # noqa: E402
from dense_perception.inference.model_file import ModelFileError, names_file  # noqa: E402
from dense_perception.models import create_model  # noqa: E402
from dense_perception.models.complexity import input_channels  # noqa: E402
from dense_perception.world.classes import CLASSES  # noqa: E402


def trained(name: str, **options) -> nn.Module:
    """A model whose every parameter and statistic differs from those it begins with."""
    torch.manual_seed(0)
    model = create_model(name, **options).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 2)
    # As in training: norms that read one map have seen the same.
    for stage, level in zip((1, 2, 3), model.pfp.levels, strict=False):
        first, second = model.decoder.stages[stage].downsample[0], level.norm
        if isinstance(first, nn.BatchNorm2d):
            second.running_mean.copy_(first.running_mean)
            second.running_var.copy_(first.running_var)
    return model


@pytest.mark.parametrize('half', [False, True])
def test_a_reopened_file_computes_what_the_model_did(tmp_path: Path, half: bool):
    model = trained('xnet_small')
    card = card_for('xnet_small', classes=CLASSES, input_height=64, input_width=96)
    export_model(model, card, tmp_path / 'model.onnx', half_weights=half)
    reopened = reopen(tmp_path / 'model.onnx')
    assert reopened.card.variant == 'xnet_small'
    x = torch.randn(2, input_channels(model), 64, 96)
    with torch.no_grad():
        ours, theirs = model(x), reopened.model(x)
    for name, value in ours.items():
        torch.testing.assert_close(theirs[name], value, rtol=0, atol=2e-2 if half else 1e-4)
    # What the export left alone is as it was; what it merged is named.
    gamma = 'decoder.stages.2.blocks.1.gamma'
    torch.testing.assert_close(reopened.model.state_dict()[gamma], model.state_dict()[gamma])
    norms = {n for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert set(reopened.norms) < norms
    assert reopened.norms['encoder.body.bn1'] == 'encoder.body.conv_stem'
    assert 'reshape.norm' not in reopened.norms  # it reads no convolution's output


def test_the_shipped_model_can_be_reopened():
    assert len(reopen('xnet_small').norms) > 50


def test_what_cannot_be_trained_on_is_refused(tmp_path: Path):
    options = {'encoder': 'vit_tiny_patch16_224', 'encoder_options': {'depth': 1}}
    file = tmp_path / 'attention.onnx'
    export_model(create_model('xnet_small', **options),
                 card_for('xnet_small', options, CLASSES, input_height=64, input_width=64), file)
    with pytest.raises(WeightsError, match='does not hold .* start from the folder'):
        reopen(file)
    with pytest.raises(ModelFileError, match='no model file "nothing"'):
        reopen('nothing')


def test_names_of_files_and_folders(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert names_file('xnet_small') and not names_file('runs/1')
    (tmp_path / 'xnet_small').mkdir()
    assert not names_file('xnet_small')  # one's own folder comes first

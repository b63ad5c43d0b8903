"""A model file gives back the weights that it was made from, to train on."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

torch = pytest.importorskip('torch', reason='model files are reopened with torch')

import onnx  # noqa: E402
from helpers.lively import as_trained  # noqa: E402
from safetensors.torch import save  # noqa: E402
from torch import nn  # noqa: E402

from dense_perception.export.cards import card_for  # noqa: E402
from dense_perception.export.merged_norms import NORMS_KEY  # noqa: E402
from dense_perception.export.onnx_export import export_model  # noqa: E402
from dense_perception.export.reopen import reopen  # noqa: E402
from dense_perception.export.weights import WeightsError  # noqa: E402
from dense_perception.inference.model_file import ModelFileError, names_file  # noqa: E402
from dense_perception.models import create_model  # noqa: E402
from dense_perception.models.complexity import input_channels  # noqa: E402
from dense_perception.world.classes import CLASSES  # noqa: E402


def trained(name: str) -> nn.Module:
    """A model as training leaves it, but for what it computes."""
    return as_trained(create_model(name))


@pytest.mark.parametrize('half', [False, True])
def test_a_reopened_file_has_the_weights_of_the_model(tmp_path: Path, half: bool):
    model = trained('xnet_small')
    card = card_for('xnet_small', classes=CLASSES, input_height=64, input_width=96)
    export_model(model, card, tmp_path / 'model.onnx', half_weights=half)
    reopened, its_card = reopen(tmp_path / 'model.onnx')
    assert its_card.variant == 'xnet_small'
    expected, found = model.state_dict(), reopened.state_dict()
    # The head absorbed the layer before it: their product is what is left.
    absorbed = ('head.linear', 'pfp.fuse.fc2')
    for name, value in expected.items():
        if name.rpartition('.')[0] in absorbed or name.endswith('num_batches_tracked'):
            continue
        scale = value.abs().max()
        torch.testing.assert_close(found[name], value, rtol=0,
                                   atol=float(scale) * (2e-3 if half else 1e-5), msg=name)
    x = torch.randn(2, input_channels(model), 64, 96)
    for mode in (False, True):  # in training, too, where norms divide by what reaches them
        with torch.no_grad():
            ours, theirs = model.train(mode)(x), reopened.train(mode)(x)
        for name, value in ours.items():
            torch.testing.assert_close(theirs[name], value, rtol=0, atol=2e-2 if half else 1e-3)


def test_norms_that_multiply_by_nothing_stay_finite(tmp_path: Path):
    model = trained('xnet_small')
    with torch.no_grad():
        model.encoder.body.bn1.weight[:3] = 0
    export_model(model, card_for('xnet_small', classes=CLASSES, input_height=64, input_width=64),
                 tmp_path / 'model.onnx')
    reopened, _ = reopen(tmp_path / 'model.onnx')
    assert all(torch.isfinite(v).all() for v in reopened.state_dict().values())


def test_the_shipped_model_can_be_reopened():
    reopened, _ = reopen('xnet_small')
    variance = reopened.encoder.body.bn1.running_var
    assert variance.std() > 0.01 * variance.mean()  # measured, not the ones it begins with


def test_what_cannot_be_trained_on_is_refused(tmp_path: Path):
    options = {'encoder': 'vit_tiny_patch16_224', 'encoder_options': {'depth': 1}}
    file = tmp_path / 'attention.onnx'
    export_model(create_model('xnet_small', **options),
                 card_for('xnet_small', options, CLASSES, input_height=64, input_width=64), file)
    with pytest.raises(WeightsError, match='does not hold .* start from the folder'):
        reopen(file)
    with pytest.raises(ModelFileError, match='no model file "nothing"'):
        reopen('nothing')
    export_model(trained('xnet_small'), card_for('xnet_small', classes=CLASSES, input_height=64,
                                                 input_width=64), file)
    proto = onnx.load(file)
    next(p for p in proto.metadata_props if p.key == NORMS_KEY).value = 'bm90aGluZw=='
    onnx.save(proto, file)
    with pytest.raises(WeightsError, match='attention.onnx: dense_perception.norms is damaged'):
        reopen(file)
    empty = base64.b64encode(save({})).decode()
    next(p for p in proto.metadata_props if p.key == NORMS_KEY).value = empty
    onnx.save(proto, file)
    with pytest.raises(WeightsError, match='does not hold .* start from the folder'):
        reopen(file)


def test_names_of_files_and_folders(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert names_file('xnet_small') and not names_file('runs/1')
    assert names_file('missing.onnx')  # so that what is missing is called a model file
    (tmp_path / 'xnet_small').mkdir()
    assert not names_file('xnet_small')  # one's own folder comes first

"""Batch norms move towards a camera's images, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch')

from dense_perception_training.adapt import adapt, main  # noqa: E402
from dense_perception_training.datasets import open_dataset  # noqa: E402
from helpers.lively import as_trained  # noqa: E402

from dense_perception.export.cards import card_for  # noqa: E402
from dense_perception.export.onnx_export import export_model  # noqa: E402
from dense_perception.export.reopen import reopen  # noqa: E402
from dense_perception.inference.predictor import Predictor  # noqa: E402
from dense_perception.models import create_model  # noqa: E402
from dense_perception.world.classes import CLASSES  # noqa: E402

NORM = 'encoder.body.bn1'


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Six dark, reddish pictures without any truth."""
    folder = tmp_path / 'camera'
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(6):
        picture = rng.random((96, 128, 3)) * (10, 20, 60)
        cv2.imwrite(str(folder / f'{i}.png'), picture.astype(np.uint8))
    return folder


@pytest.fixture
def card():
    return card_for('xnet_small', classes=CLASSES, input_height=64, input_width=96)


def test_statistics_move_by_the_share(images: Path, card):
    data = open_dataset('folder', images, image='*.png')
    moved = {}
    for share in (0.5, 1.0):
        torch.manual_seed(0)
        model = create_model('xnet_small').eval()
        before = {k: v.clone() for k, v in model.state_dict().items()}
        adapt(model, card, data, share, batches=2)
        after = model.state_dict()
        changed = {k for k in before if not torch.equal(before[k], after[k])}
        assert changed and all('running' in k or 'num_batches' in k for k in changed)
        assert not model.training
        moved[share] = after[f'{NORM}.running_var'] - before[f'{NORM}.running_var']
    torch.testing.assert_close(moved[0.5], moved[1.0] / 2)


def test_a_file_becomes_a_file(images: Path, card, tmp_path: Path, capsys):
    export_model(as_trained(create_model('xnet_small')), card, tmp_path / 'before.onnx')
    out = tmp_path / 'after.onnx'
    main([str(tmp_path / 'before.onnx'), '--data', str(images), '--option', 'image="*.png"',
          '--batches', '1', '--out', str(out)])
    assert '6 images' in capsys.readouterr().out
    before, after = reopen(tmp_path / 'before.onnx')[0], reopen(out)[0]
    name = f'{NORM}.running_mean'
    assert not torch.allclose(before.state_dict()[name], after.state_dict()[name])
    card = Predictor(str(out)).card
    assert 'adapted to 6 images of camera' in card.training_data and not card.metrics


def test_what_cannot_be_adapted(images: Path, card, tmp_path: Path):
    data = open_dataset('folder', images, image='*.png')
    with pytest.raises(ValueError, match='above 0 and at most 1, not 1.5'):
        adapt(create_model('xnet_small'), card, data, share=1.5)
    with pytest.raises(ValueError, match='has no batch norms'):
        adapt(create_model('xnet_small', norm='layer', encoder='convnext_atto',
                           decoder_options={}), card, data)
    out = tmp_path / 'after.onnx'
    with pytest.raises(SystemExit, match='dense-perception-adapt: .*nothing'):
        main(['nothing', '--data', str(images), '--out', str(out)])
    with pytest.raises(SystemExit, match='dense-perception-adapt: '):
        main(['xnet_small', '--data', str(tmp_path / 'empty'), '--out', str(out)])
    assert not out.exists()

"""Model files against the PyTorch models they were made from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

torch = pytest.importorskip('torch', reason='export needs torch')

from dense_perception.export import onnx_export  # noqa: E402
from dense_perception.export.onnx_export import ExportError, export_model  # noqa: E402
from dense_perception.export.weights import WeightsError, load_weights, save_weights  # noqa: E402
from dense_perception.geometry.camera import Intrinsics  # noqa: E402
from dense_perception.geometry.mount import Mount  # noqa: E402
from dense_perception.inference.card import ModelCard  # noqa: E402
from dense_perception.inference.model_file import ModelFile, ModelFileError  # noqa: E402
from dense_perception.inference.predictor import Predictor  # noqa: E402
from dense_perception.models import create_model  # noqa: E402
from dense_perception.world.classes import CLASSES, SKY  # noqa: E402

HEIGHT, WIDTH = 64, 96
CARD = ModelCard(
    name='test', system='xnet', variant='xnet_small', tasks=('depth', 'segmentation'),
    input_height=HEIGHT, input_width=WIDTH, outputs=('depth', 'labels', 'confidence'),
    depth_convention='metric', depth_range=(0.1, 80.0), mount='optional', classes=CLASSES)
CAMERA = Intrinsics(100.0, 100.0, 79.5, 59.5, 160, 120)
MOUNT = Mount.from_pitch_roll(0.3, 0.0, 0.8)


def lively_model() -> torch.nn.Module:
    """Random weights with outputs that vary over the image, so that agreement means something."""
    torch.manual_seed(0)
    model = create_model('xnet_small').train()
    torch.nn.init.normal_(model.reshape.fc2.weight, std=0.2)
    torch.nn.init.normal_(model.head.linear.weight, std=0.5)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the running statistics become those of what follows
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(4, 5, HEIGHT, WIDTH))
    model.eval()
    return model


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp('export') / 'model.onnx'
    model = lively_model()
    return model, path, export_model(model, CARD, path)


def image() -> np.ndarray:
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)


def test_model_file_agrees_with_pytorch(exported):
    _, path, parity = exported
    assert parity.depth_error < 1e-4
    assert parity.labels_differ < 1e-4
    prediction = Predictor(path).predict(image(), CAMERA, MOUNT)
    assert prediction.metric
    assert len(np.unique(prediction.labels)) > 2  # else the agreement above proves little
    assert np.nanstd(prediction.depth) > 0.01


def test_sky_has_no_depth_and_everything_else_has(exported):
    prediction = Predictor(exported[1]).predict(image())
    np.testing.assert_array_equal(np.isnan(prediction.depth), prediction.labels == SKY)


def test_camera_height_is_the_scale_of_depth(exported):
    predictor = Predictor(exported[1])
    low = predictor.predict(image(), CAMERA, MOUNT).depth
    high = predictor.predict(image(), CAMERA, replace(MOUNT, height=2 * MOUNT.height)).depth
    both = np.isfinite(low) & np.isfinite(high)
    np.testing.assert_allclose(high[both], 2 * low[both], rtol=1e-4)


def test_without_mount_depth_is_relative(exported):
    prediction = Predictor(exported[1]).predict(image())
    assert not prediction.metric
    assert np.isfinite(prediction.depth).any()


def test_half_weights_halve_the_file(exported, tmp_path):
    model, whole, _ = exported
    half = tmp_path / 'half.onnx'
    parity = export_model(model, CARD, half, half_weights=True)
    assert half.stat().st_size < 0.56 * whole.stat().st_size
    assert parity.labels_differ < 5e-3


def test_card_travels_with_the_file(exported):
    model, path, _ = exported
    card = Predictor(path).card
    assert card.classes == CLASSES
    assert len(card.weights_sha256) == 64
    assert [i.name for i in onnx.load(path).graph.input] == [
        'image', 'intrinsics', 'gravity', 'camera_height']


def test_file_holds_no_paths_of_this_machine(exported):
    assert str(Path(__file__).parents[2]).encode() not in exported[1].read_bytes()


def test_weights_that_fill_no_single_file_lie_beside_it(exported, tmp_path, monkeypatch):
    model, whole, _ = exported
    path = tmp_path / 'model.onnx'
    path.write_bytes(b'an older export')
    monkeypatch.setattr(onnx_export, 'MAX_FILE_BYTES', 1_000_000)
    export_model(model, CARD, path)
    data = tmp_path / 'model.onnx.data'
    assert sorted(tmp_path.iterdir()) == [path, data]
    assert path.stat().st_size < 1_000_000 < data.stat().st_size
    assert ModelFile.open(path).size == path.stat().st_size + data.stat().st_size
    two, one = (Predictor(p).predict(image(), CAMERA, MOUNT) for p in (path, whole))
    np.testing.assert_array_equal(two.depth, one.depth)

    weights = data.read_bytes()
    data.write_bytes(weights[:-1])
    with pytest.raises(ModelFileError, match=f'needs its weights.*{len(weights)} bytes.* has '):
        Predictor(path)
    data.unlink()
    with pytest.raises(ModelFileError, match='model.onnx.data .* absent; copy both files'):
        Predictor(path)
    data.write_bytes(weights)
    monkeypatch.undo()
    export_model(model, CARD, path)
    assert list(tmp_path.iterdir()) == [path]


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path):
    model = lively_model()
    torch.nn.init.constant_(model.head.linear.bias, torch.nan)
    with pytest.raises(ExportError, match='not finite: head.linear.bias'):
        export_model(model, CARD, tmp_path / 'model.onnx')
    assert list(tmp_path.iterdir()) == []


class Unfaithful(torch.nn.Module):
    """Traces to something else than it computes: what a parity check must catch."""

    config = None

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        factor = 2.0 if torch.compiler.is_exporting() else 1.0
        return {'depth': factor * (1 + x[:, 0].abs())}


def test_a_file_that_disagrees_is_not_written(tmp_path: Path):
    card = replace(CARD, outputs=('depth',), classes=(), mount='none')
    path = tmp_path / 'model.onnx'
    with pytest.raises(ExportError, match='depth_error'):
        export_model(Unfaithful(), card, path)
    assert list(tmp_path.iterdir()) == []


def test_weights_folder_round_trip_and_errors(tmp_path: Path):
    model = lively_model()
    save_weights(model, CARD, tmp_path / 'run')
    loaded, card = load_weights(tmp_path / 'run')
    assert card == CARD
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    with pytest.raises(WeightsError, match='has no weights.safetensors'):
        load_weights(tmp_path)
    save_weights(model, replace(CARD, variant='xnet_swin_large_convnext_base'), tmp_path / 'bad')
    (tmp_path / 'bad' / 'card.json').write_text(replace(CARD, variant='nothing').to_json())
    with pytest.raises(WeightsError, match='unknown model "nothing"'):
        load_weights(tmp_path / 'bad')


def test_weights_that_do_not_fit_their_card_are_refused_in_one_sentence(tmp_path: Path):
    save_weights(lively_model(), CARD, tmp_path)

    def refusal(options: dict) -> str:
        (tmp_path / 'card.json').write_text(replace(CARD, options=options).to_json())
        with pytest.raises(WeightsError) as caught:
            load_weights(tmp_path)
        assert '\n' not in str(caught.value)
        return str(caught.value)

    assert '(9, 16, 1, 1) in the checkpoint and (6, 16, 1, 1)' in refusal({'num_classes': 5})
    decoder = {**lively_model().config.decoder_options, 'depths': (2, 2, 5, 2)}
    assert 'missing and 0 have no place' in refusal({'decoder_options': decoder})
    assert 'unexpected keyword' in refusal({'colour': 'red'})
    data = (tmp_path / 'weights.safetensors').read_bytes()
    (tmp_path / 'weights.safetensors').write_bytes(data[:len(data) // 2])
    assert 'not a complete safetensors file' in refusal({})


class Facing(torch.nn.Module):
    """Normals of any length: the more red, the more to the right; and a class by green."""

    config = None

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        red, green = x[:, 0], x[:, 1]
        normals = torch.stack([3 * red, torch.full_like(red, -2.0), red * 0 - 1], dim=1)
        logits = torch.stack([green] * len(CLASSES), dim=1)
        logits[:, SKY] = 0.0
        return {'normals': normals, 'logits': logits, 'depth': 1 + red.abs(), 'alpha': red}


def test_normals_have_unit_length_channels_last_and_none_for_the_sky(tmp_path: Path):
    card = replace(CARD, mount='none', outputs=('depth', 'labels', 'normals'))
    path = tmp_path / 'model.onnx'
    parity = export_model(Facing(), card, path)
    assert parity.normal_error < 1e-5
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[..., 0] = np.arange(WIDTH) * 2
    picture[HEIGHT // 2:, :, 1] = 255
    prediction = Predictor(path).predict(picture)
    normals = prediction.normals
    assert normals.shape == (HEIGHT, WIDTH, 3) and normals.dtype == np.float32
    sky = prediction.labels == SKY
    assert sky.any() and not sky.all()
    np.testing.assert_array_equal(np.isnan(normals).all(-1), sky)
    np.testing.assert_allclose(np.linalg.norm(normals[~sky], axis=-1), 1, atol=1e-5)
    row = normals[HEIGHT - 1]
    assert (np.diff(row[:, 0]) > 0).all() and (row[:, 1] < 0).all() and (row[:, 2] < 0).all()
    np.testing.assert_allclose(row[:, 1] / row[:, 2], 2, rtol=1e-4)


def test_opacity_stays_within_its_range(tmp_path: Path):
    card = replace(CARD, mount='none', outputs=('alpha',), tasks=('matting',), classes=(),
                   depth_convention=None, depth_range=None)
    path = tmp_path / 'model.onnx'
    assert export_model(Facing(), card, path).alpha_error < 1e-6
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[..., 0] = np.arange(WIDTH) * 2
    prediction = Predictor(path).predict(picture)
    red = (picture[..., 0] / 255 - card.mean[0]) / card.std[0]
    assert red.min() < 0 and red.max() > 1
    np.testing.assert_allclose(prediction.alpha, red.clip(0, 1), atol=1e-5)
    assert prediction.depth is None and prediction.labels is None

"""``dense-perception explain``: the picture of Figure 4, or one sentence."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.tiny_polymax import TINY as POLYMAX
from helpers.tiny_xnet import TINY

torch = pytest.importorskip('torch', reason='explain needs torch')

from dense_perception import viz  # noqa: E402
from dense_perception.cli.explain import explain  # noqa: E402
from dense_perception.cli.explain_clusters import maps  # noqa: E402
from dense_perception.cli.main import main  # noqa: E402
from dense_perception.export.cards import card_for, sized  # noqa: E402
from dense_perception.export.weights import load_weights, save_weights  # noqa: E402
from dense_perception.models import create_model  # noqa: E402

XNET_I = {**TINY, 'mix_with': 'image', 'num_classes': 4}


def weights(folder: Path, variant: str, **options) -> Path:
    torch.manual_seed(0)
    model = create_model(variant, **options)
    if hasattr(model, 'reshape'):
        torch.nn.init.normal_(model.reshape.fc2.weight)  # else it is next to constant
    save_weights(model, sized(card_for(variant, options), (64, 96)), folder)
    return folder


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path / 'photo.png'
    cv2.imwrite(str(path), rng.integers(0, 256, (120, 200, 3), dtype=np.uint8))
    return path


@pytest.mark.parametrize('mount', [0, 2])
def test_the_picture_shows_what_is_mixed_beside_the_prediction(
        tmp_path: Path, photo: Path, mount: int, capsys: pytest.CaptureFixture[str]):
    folder = weights(tmp_path / 'run', 'xnet_convnext_tiny_convnext_tiny',
                     **XNET_I, mount_channels=mount)
    outs = [tmp_path / 'new' / f'{i}.png' for i in range(2)]
    for out in outs:
        assert main(['explain', str(folder), str(photo), '--out', str(out)]) == 0
    assert 'strongest channel' in capsys.readouterr().out
    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert sorted(outs[0].parent.iterdir()) == outs

    image = cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB)
    seen, mixed, prediction = explain(*load_weights(folder), image)
    assert seen.shape == (64, 96, 3) and mixed.shape == (3, 64, 96)
    assert prediction.depth is not None and prediction.labels is not None
    page = cv2.cvtColor(cv2.imread(str(outs[0])), cv2.COLOR_BGR2RGB)
    tiles = [viz.fit(seen, 400, 300), viz.fit(viz.strongest_channel(mixed), 400, 300)]
    for column, tile in enumerate(tiles):
        left = 12 + column * 412
        np.testing.assert_array_equal(page[64:364, left:left + 400], tile)


def test_what_is_mixed_is_what_the_network_multiplies_the_image_with(tmp_path: Path, photo: Path):
    model, card = load_weights(weights(tmp_path, 'xnet_convnext_tiny_convnext_tiny', **XNET_I))
    entered = []
    model.decoder.stem.register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0]))
    seen, mixed, _ = explain(model, card, cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB))
    normal = (seen / 255 - np.array(card.mean)) / np.array(card.std)
    np.testing.assert_allclose(entered[0][0].numpy(), normal.transpose(2, 0, 1) * mixed, atol=1e-4)


def test_a_polymax_shows_a_map_for_each_cluster(tmp_path: Path, photo: Path,
                                                capsys: pytest.CaptureFixture[str]):
    folder = weights(tmp_path / 'run', 'polymax_convnextt_depth', **POLYMAX, num_classes=5,
                     normals=True)
    out = tmp_path / 'clusters.png'
    assert main(['explain', str(folder), str(photo), '--out', str(out)]) == 0
    assert 'depth has 16 clusters' in (said := capsys.readouterr().out) and 'normals has 8' in said
    model, card = load_weights(folder)
    image = cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB)
    seen, found = maps(model, card, image)
    assert {name: p.shape for name, (p, _) in found.items()} == {
        'depth': (16, 16, 24), 'logits': (5, 16, 24), 'normals': (8, 16, 24)}
    for probabilities, _ in found.values():
        np.testing.assert_allclose(probabilities.sum(0), 1, atol=1e-5)
    assert found['depth'][1].shape == (16, 1) and found['logits'][1] is None
    np.testing.assert_allclose(np.linalg.norm(found['normals'][1], axis=1), 1, atol=1e-5)
    page = cv2.cvtColor(cv2.imread(str(out)), cv2.COLOR_BGR2RGB)
    # The image, four rows of depth, two of classes and two of normals, of four each.
    assert page.shape == (64 + 9 * 324 + 64, 12 + 4 * 412, 3)
    np.testing.assert_array_equal(page[64:364, 12:412], viz.fit(seen, 400, 300))
    first = int(found['depth'][1][:, 0].argmin())  # the nearest
    grey = 255 * found['depth'][0][first] / found['depth'][0].max()
    shown = viz.fit(np.repeat(grey.astype(np.uint8)[..., None], 3, 2), 400, 300)
    np.testing.assert_array_equal(page[388:688, 12:412], shown)


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(['explain', *map(str, arguments)]) == 1
    error = capsys.readouterr().err
    assert error.count('\n') == 1
    return error


def test_other_models_are_refused(tmp_path: Path, photo: Path,
                                  capsys: pytest.CaptureFixture[str]):
    out = tmp_path / 'out.png'
    for variant, options in (('xnet_small', {}), ('xnet_ladder_fpn', {
            'encoder': 'mobilenetv4_conv_small_050', 'decoder': 'convnext_atto'})):
        folder = weights(tmp_path / variant, variant, **options)
        error = refusal(capsys, folder, photo, '--out', out)
        assert f'"{variant}"' in error and 'xnet_ladder_xnet_i_22k' in error
    assert not out.exists()


def test_what_cannot_be_read_or_written_is_named(tmp_path: Path, photo: Path,
                                                 capsys: pytest.CaptureFixture[str]):
    out = tmp_path / 'out.png'
    assert 'has no weights.safetensors' in refusal(capsys, tmp_path, photo, '--out', out)
    assert 'give the folder' in refusal(capsys, photo, photo, '--out', out)
    assert 'no picture' in refusal(capsys, tmp_path, tmp_path / 'x.jpg', '--out', out)
    assert 'end in .png' in refusal(capsys, tmp_path, photo, '--out', tmp_path / 'out.tiff')
    folder = weights(tmp_path / 'run', 'xnet_convnext_tiny_convnext_tiny', **XNET_I)
    assert 'cannot write' in refusal(capsys, folder, photo, '--out', photo / 'out.png')

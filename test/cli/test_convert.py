"""``dense-perception convert``: public checkpoints become weights, card and model file."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='conversion needs torch')

from safetensors.torch import load_file, save_file  # noqa: E402

from dense_perception.cli.main import main  # noqa: E402
from dense_perception.export.weights import load_weights  # noqa: E402
from dense_perception.inference.predictor import Predictor  # noqa: E402
from dense_perception.models import create_model  # noqa: E402
from dense_perception.models.checkpoints import Layout, from_ours  # noqa: E402
from dense_perception.models.checkpoints.dpt_keys import HF_ANYTHING, ISL, OFFICIAL  # noqa: E402

SMALL = 'depth_anything_v2_small'
PREPROCESSOR = {'do_normalize': True, 'image_mean': [0.4, 0.5, 0.6], 'image_std': [0.2, 0.2, 0.2],
                'keep_aspect_ratio': True, 'ensure_multiple_of': 14, 'resample': 2,
                'size': {'height': 140, 'width': 140}}

Said = pytest.CaptureFixture[str]


def convert(*arguments: object) -> int:
    return main(['convert', *map(str, arguments)])


def refusal(said: Said, *arguments: object) -> str:
    assert convert(*arguments) == 1
    error = said.readouterr().err
    assert error.count('\n') == 1
    return error


@pytest.fixture(scope='module')
def small() -> torch.nn.Module:
    torch.manual_seed(0)
    return create_model(SMALL).eval()


@pytest.fixture(scope='module')
def official(small, tmp_path_factory) -> Path:
    """As the authors publish it."""
    path = tmp_path_factory.mktemp('official') / 'depth_anything_v2_vits.pth'
    torch.save(from_ours(small.state_dict(), Layout(OFFICIAL, SMALL)), path)
    return path


@pytest.fixture(scope='module')
def hugging_face(small, tmp_path_factory) -> Path:
    """As it is on the hub."""
    path = tmp_path_factory.mktemp('hub') / 'Depth-Anything-V2-Metric-Outdoor-Small-hf'
    path.mkdir()
    save_file(from_ours(small.state_dict(), Layout(HF_ANYTHING, SMALL)),
              path / 'model.safetensors')
    (path / 'config.json').write_text(json.dumps({
        'depth_estimation_type': 'metric', 'max_depth': 80,
        'backbone_config': {'out_indices': [3, 6, 9, 12]}}))
    (path / 'preprocessor_config.json').write_text(json.dumps(PREPROCESSOR))
    (path / 'README.md').write_text('---\nlicense: apache-2.0\n---\n')
    return path


@pytest.fixture
def said_nothing(capsys: Said):
    """Nothing goes to stderr while all is well."""
    yield
    assert capsys.readouterr().err == ''


def test_an_official_file_becomes_weights_and_model_file(official, small, tmp_path, said_nothing):
    out, file = tmp_path / 'weights', tmp_path / 'model.onnx'
    assert convert(official, '--out', out, '--export', file, '--size', '56x70') == 0
    model, card = load_weights(out)
    for name, value in small.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    assert (card.variant, card.input_size) == (SMALL, (56, 70))
    assert (card.resize, card.resize_target) == ('lower_bound', (518, 518))
    assert card.training_data == 'public checkpoint depth_anything_v2_vits.pth'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['model.onnx', 'weights']

    image = np.random.default_rng(0).integers(0, 256, (56, 70, 3), np.uint8)
    predictor = Predictor(file)
    prediction = predictor.predict(image)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (card.mean, card.std))
    with torch.no_grad():
        expected = small((pixels - mean) / std)['depth'][0].numpy()
    np.testing.assert_allclose(prediction.depth, expected, atol=1e-4 * expected.max())
    assert not prediction.metric and predictor.card.depth_convention == 'inverse_affine'


def test_a_hub_folder_decides_preprocessing_range_and_licence(hugging_face, tmp_path, capsys):
    out = tmp_path / 'weights'
    assert convert(hugging_face, '--out', out, '--image-size', '320x240', '--name', 'roads') == 0
    assert '24,784,705 parameters, 0 keys missing, 0 unexpected' in capsys.readouterr().out
    card = load_weights(out)[1]
    assert card.variant == 'depth_anything_v2_metric_outdoor_small'
    assert (card.name, card.licence) == ('roads', 'apache-2.0')
    assert card.depth_convention == 'metric' and card.depth_range == (1e-3, 80.0)
    assert (card.mean, card.std) == ((0.4, 0.5, 0.6), (0.2, 0.2, 0.2))
    assert (card.resize, card.resize_target, card.interpolation) == (
        'minimal', (140, 140), 'linear')
    assert card.input_size == (140, 182)  # 240 -> 140, 320 -> 186.7, to multiples of 14
    assert len(load_file(out / 'weights.safetensors')) == 238


def test_a_folder_that_transformers_saved_in_shards(tmp_path, capsys):
    transformers = pytest.importorskip('transformers', reason='transformers writes the folder')
    dinov2 = transformers.Dinov2Config(
        image_size=518, hidden_size=384, num_attention_heads=6, num_hidden_layers=12,
        patch_size=14, out_indices=[3, 6, 9, 12], reshape_hidden_states=False)
    theirs = transformers.DepthAnythingForDepthEstimation(transformers.DepthAnythingConfig(
        backbone_config=dinov2, reassemble_hidden_size=384, fusion_hidden_size=64,
        neck_hidden_sizes=[48, 96, 192, 384], depth_estimation_type='metric', max_depth=20))
    folder, out = tmp_path / 'saved', tmp_path / 'weights'
    theirs.save_pretrained(folder, max_shard_size='40MB')
    transformers.DPTImageProcessor(
        size={'height': 518, 'width': 518}, keep_aspect_ratio=True, ensure_multiple_of=14,
        resample=3).save_pretrained(folder)
    assert (folder / 'model.safetensors.index.json').is_file()
    assert convert(folder, '--out', out) == 0
    assert '0 keys missing, 0 unexpected' in capsys.readouterr().out
    model, card = load_weights(out)
    assert card.variant == 'depth_anything_v2_metric_indoor_small'
    assert (card.resize, card.interpolation, card.mean) == ('minimal', 'cubic', (0.5, 0.5, 0.5))
    assert torch.equal(model.depth_head.conv1.weight, theirs.head.conv1.weight)
    for part, ours in zip(('query', 'key', 'value'),
                          model.encoder.body.blocks[4].attn.qkv.weight.chunk(3), strict=True):
        names = [key for key in theirs.state_dict() if 'layer.4.attention' in key
                 and key.endswith((f'{part}.weight', f'{part[0]}_proj.weight'))]
        assert torch.equal(ours, theirs.state_dict()[names[0]])


def test_a_half_precision_segmenter_gets_its_classes(tmp_path):
    variant = 'dpt_hybrid_ade20k'
    ours = {key: value.half() if value.is_floating_point() else value
            for key, value in create_model(variant).state_dict().items()}
    torch.save({'model': from_ours(ours, Layout(ISL, variant)), 'optimizer': {}},
               tmp_path / 'dpt_hybrid-ade20k-53898607.pt')
    del ours
    out = tmp_path / 'weights'
    assert convert(tmp_path / 'dpt_hybrid-ade20k-53898607.pt', '--out', out) == 0
    card = load_weights(out)[1]
    assert card.variant == variant and card.outputs == ('labels', 'confidence')
    assert (card.classes[12].name, card.classes[12].colour) == ('person', (150, 5, 61))
    assert card.licence == 'MIT'


def test_the_variant_may_be_named_where_the_file_does_not_tell(official, tmp_path):
    out = tmp_path / 'weights'
    assert convert(official, '--variant', 'depth_anything_v2_metric_indoor_small', '--out', out,
                   '--licence', 'CC0') == 0
    card = load_weights(out)[1]
    assert card.variant == 'depth_anything_v2_metric_indoor_small' and card.licence == 'CC0'


def test_missing_and_unexpected_keys_are_listed_and_nothing_is_written(
        official, tmp_path, capsys):
    state = torch.load(official, weights_only=True)
    gone = [key for key in state if key.startswith('pretrained.blocks.7.mlp')] \
        + [key for key in state if 'refinenet2' in key]
    for key in gone:
        del state[key]
    state['teacher.weight'] = torch.zeros(1)
    torch.save(state, tmp_path / 'incomplete.pth')
    report = tmp_path / 'report.json'
    error = refusal(capsys, tmp_path / 'incomplete.pth', '--out', tmp_path / 'out', '--export',
                    tmp_path / 'model.onnx', '--report', report)
    assert f'lacks {len(gone)} keys of {SMALL}' in error and 'nothing was written' in error
    assert f'and {len(gone) - 6} more' in error
    listed = json.loads(report.read_text())
    assert len(listed['missing']) == len(gone) and listed['unexpected'] == ['teacher.weight']
    assert 'encoder.body.blocks.7.mlp.fc1.weight' in listed['missing']
    error = refusal(capsys, tmp_path / 'incomplete.pth', '--verbose')
    assert all(key in error for key in listed['missing'])
    assert sorted(path.name for path in tmp_path.iterdir()) == ['incomplete.pth', 'report.json']


def test_keys_without_use_are_said_and_harmless(official, tmp_path, capsys):
    state = torch.load(official, weights_only=True) | {'teacher.weight': torch.zeros(1)}
    torch.save(state, tmp_path / 'more.pth')
    assert convert(tmp_path / 'more.pth', '--out', tmp_path / 'out') == 0
    assert 'without use: teacher.weight' in capsys.readouterr().out


@pytest.mark.parametrize(('arguments', 'reason'), [
    ([], 'give either a checkpoint or --encoder-weights'),
    (['{file}', '--encoder-weights', 'x.pth'], 'give either a checkpoint or'),
    (['--encoder-weights', 'x.pth'], 'need --variant'),
    (['{file}', '--variant', 'depth_anything'], 'did you mean'),
    (['{file}', '--variant', 'xnet_small'], f'is a "{SMALL}" .* does not fit "xnet_small"'),
    (['{file}', '--variant', 'dpt_large'], 'does not fit the model: .* in the checkpoint and'),
    (['{file}', '--size', '60x60'], '60x60 is not a multiple of 14'),
    (['{file}', '--size', '64'], 'not a size such as'),
    (['{file}', '--export', 'model.pt'], 'does not end in .onnx'),
    (['absent.pth'], 'no file or folder "absent.pth"; give a'),
    (['--variant', 'xnet_small', '--encoder-weights', 'absent.pth'], 'cannot read absent.pth'),
    (['--variant', 'dpt_base', '--decoder-weights', '{file}'], 'no decoder that timm knows'),
    (['{classifier}'], r'layout of this checkpoint is unknown .*conv1.weight.*recognised are DPT'),
])
def test_refusals_say_what_would_be_right(official, tmp_path, capsys, monkeypatch, arguments,
                                          reason):
    monkeypatch.chdir(tmp_path)
    classifier = tmp_path / 'resnet18.pth'
    torch.save({'conv1.weight': torch.zeros(64, 3, 7, 7), 'fc.bias': torch.zeros(1000)},
               classifier)
    filled = [a.format(file=official, classifier=classifier) for a in arguments]
    error = refusal(capsys, *filled)
    assert re.search(reason, error), error
    assert list(tmp_path.iterdir()) == [classifier]


def test_timm_weights_of_an_encoder_start_a_model(tmp_path, capsys):
    import timm
    reference = timm.create_model('mobilenetv4_conv_small').state_dict()
    file, out = tmp_path / 'mobilenetv4.pth', tmp_path / 'start'
    torch.save(reference, file)
    assert convert('--variant', 'xnet_small', '--encoder-weights', file, '--out', out) == 0
    assert '0 keys missing, 0 unexpected' in capsys.readouterr().out
    model, card = load_weights(out)
    block = 'blocks.3.2.pw_exp.conv.weight'
    assert torch.equal(model.encoder.state_dict()[f'body.{block}'], reference[block])
    assert card.training_data == 'none yet; started from encoder mobilenetv4.pth'

    del reference[block]
    torch.save(reference, file)
    error = refusal(capsys, '--variant', 'xnet_small', '--encoder-weights', file)
    assert 'lacks 1 keys' in error and f'encoder.{block}' in error

"""D3-Predictor's weights: Stable Diffusion folders, its own checkpoints, CleanDIFT; and its files.

The fixtures are written by diffusers and transformers themselves, at a tiny size.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='export needs torch')
pytest.importorskip('diffusers', reason='D3-Predictor is built on diffusers')
pytest.importorskip('transformers', reason='it embeds the text')

from helpers.lively import enliven  # noqa: E402
from helpers.tiny_d3 import SHALLOW  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from dense_perception.cli.main import main  # noqa: E402
from dense_perception.export.cards import card_for, sized  # noqa: E402
from dense_perception.export.convert import convert  # noqa: E402
from dense_perception.export.onnx_export import export_model  # noqa: E402
from dense_perception.export.parity import example_inputs  # noqa: E402
from dense_perception.export.prompts import embedded_text  # noqa: E402
from dense_perception.export.reference import TorchPredictor  # noqa: E402
from dense_perception.export.weights import load_weights  # noqa: E402
from dense_perception.inference.predictor import Predictor  # noqa: E402
from dense_perception.models import create_model  # noqa: E402
from dense_perception.models.checkpoints import CheckpointError, Layout, from_ours  # noqa: E402
from dense_perception.models.checkpoints.d3 import (  # noqa: E402
    CLEANDIFT,
    D3,
    FOLDER,
    OLD_FOLDER,
    UNET,
)
from dense_perception.models.d3 import PROMPTS  # noqa: E402

TINY = create_model('d3_tiny_depth').config
OLD = {'to_q': 'query', 'to_k': 'key', 'to_v': 'value', 'to_out.0': 'proj_attn'}


@pytest.fixture(scope='module')
def model() -> torch.nn.Module:
    """What the fixtures hold: the weights, not the text and the timestep."""
    return enliven(create_model('d3_tiny_depth'), 64, 64)


@pytest.fixture(scope='module')
def stable_diffusion(model, tmp_path_factory) -> Path:
    """A folder as diffusers and transformers write it."""
    from diffusers import DDPMScheduler
    from transformers import CLIPTextConfig, CLIPTextModel
    folder = tmp_path_factory.mktemp('hub') / 'stable-diffusion-tiny'
    model.denoiser.save_pretrained(folder / 'unet')
    model.vae.save_pretrained(folder / 'vae')
    DDPMScheduler().save_pretrained(folder / 'scheduler')
    torch.manual_seed(0)
    CLIPTextModel(CLIPTextConfig(
        vocab_size=100, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=24, bos_token_id=0, eos_token_id=1,
    )).save_pretrained(folder / 'text_encoder')
    letters = [chr(c) for c in range(ord('a'), ord('z') + 1)]
    words = ['<|startoftext|>', '<|endoftext|>', *letters, *(f'{x}</w>' for x in letters)]
    (folder / 'tokenizer').mkdir()
    (folder / 'tokenizer/vocab.json').write_text(json.dumps({w: i for i, w in enumerate(words)}))
    (folder / 'tokenizer/merges.txt').write_text('#version: 0.2\n')
    (folder / 'model_index.json').write_text(json.dumps({'_class_name': 'StableDiffusion'}))
    (folder / 'README.md').write_text('---\nlicense: openrail++\n---\n')
    return folder


@pytest.fixture(scope='module')
def published(model, tmp_path_factory) -> Path:
    """As the authors publish a task: the whole aligner, which holds more than we need."""
    state = {key: value for key, value in model.state_dict().items()
             if key.startswith(('denoiser.', 'timestep'))}
    state['timestep'] = torch.tensor(240.0)
    theirs = from_ours(state, Layout(D3, 'd3_normals'))
    assert {key.split('.')[0] for key in theirs} == {'d3_predictor', 'timestep'}
    theirs |= model.alignment().heads.state_dict()
    path = tmp_path_factory.mktemp('published') / 'normal_checkpoint.pth'
    torch.save(theirs, path)
    return path


def same(a: torch.nn.Module, b: torch.nn.Module, part: str) -> bool:
    ours, theirs = (getattr(m, part).state_dict() for m in (a, b))
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_a_folder_of_stable_diffusion(model, stable_diffusion: Path, tmp_path: Path):
    out = tmp_path / 'start'
    assert main(['convert', str(stable_diffusion), '--variant', 'd3_normals', '--out',
                 str(out)]) == 0
    found, card = load_weights(out)
    assert same(found, model, 'denoiser') and same(found, model, 'vae')
    assert found.timestep.item() == 261 and found.context.shape == (1, 24, 16)
    assert torch.equal(found.context, embedded_text(stable_diffusion, PROMPTS['normals']))
    assert not torch.equal(found.context, embedded_text(stable_diffusion, PROMPTS['alpha']))
    assert card.outputs == ('normals',) and card.licence == 'openrail++'
    assert card.options['tokens'] == 24 and card.options['denoiser']['norm_num_groups'] == 8


def test_old_names_in_the_autoencoder(model, stable_diffusion: Path, tmp_path: Path):
    folder = tmp_path / 'old'
    folder.mkdir()
    for part in ('unet', 'text_encoder', 'tokenizer', 'model_index.json'):
        (folder / part).symlink_to(stable_diffusion / part)
    (folder / 'vae').mkdir()
    (folder / 'vae/config.json').write_text((stable_diffusion / 'vae/config.json').read_text())
    name = 'vae/diffusion_pytorch_model.safetensors'
    state = load_file(stable_diffusion / name)
    for new, old in OLD.items():
        state = {key.replace(f'.attentions.0.{new}.', f'.attentions.0.{old}.'): value
                 for key, value in state.items()}
    save_file(state, folder / name)
    found = convert(str(folder))
    assert found.kind == OLD_FOLDER and found.report.missing == found.report.unexpected == ()
    assert same(found.model, model, 'vae')


def test_a_published_checkpoint(model, published: Path, stable_diffusion: Path):
    found = convert(str(published), base=str(stable_diffusion))
    assert found.kind == D3 and found.card.variant == 'd3_normals'
    assert found.report.missing == ()
    assert {key.split('.')[0] for key in found.report.unexpected} == {
        'adapters', 'mapping', 'time_emb', 'time_in_proj'}
    assert found.model.timestep.item() == 240
    assert same(found.model, model, 'denoiser') and same(found.model, model, 'vae')


def test_its_projection_heads_fit_ours(model, published: Path):
    state = torch.load(published, weights_only=True)
    ours = model.alignment().heads
    assert ours.load_state_dict(state, strict=False).missing_keys == []


@pytest.mark.parametrize(('kind', 'prefix'), [
    (UNET, ''), (CLEANDIFT, 'unet_feature_extractor_cleandift.')])
def test_cleandift(model, kind: str, prefix: str, stable_diffusion: Path, tmp_path: Path):
    state = {prefix + key: value + 1 for key, value in model.denoiser.state_dict().items()}
    save_file(state, tmp_path / 'cleandift.safetensors')
    found = convert(str(tmp_path / 'cleandift.safetensors'), 'd3_matting', str(stable_diffusion))
    assert found.kind == kind and found.report.missing == found.report.unexpected == ()
    assert torch.equal(found.model.denoiser.conv_in.weight, model.denoiser.conv_in.weight + 1)
    assert found.card.outputs == ('alpha',)


@pytest.mark.parametrize('kind', [FOLDER, OLD_FOLDER, D3, CLEANDIFT, UNET])
def test_conversion_changes_no_bit(model, kind: str):
    from dense_perception.models.checkpoints import to_ours
    layout = Layout(kind, 'd3_depth')
    kept = ('denoiser.', 'vae.') if kind in (FOLDER, OLD_FOLDER, D3) else ('denoiser.',)
    ours = {k: v for k, v in model.state_dict().items() if k.startswith(kept)}
    back = to_ours(from_ours(ours, layout), layout)
    assert back.keys() == ours.keys()
    assert all(torch.equal(back[key], ours[key]) for key in ours)


def test_what_is_missing_is_named(published: Path, stable_diffusion: Path, tmp_path: Path):
    with pytest.raises(CheckpointError, match='--base'):
        convert(str(published))
    with pytest.raises(CheckpointError, match='does not fit the model'):
        torch.save({'d3_predictor.conv_in.weight': torch.zeros(3)}, tmp_path / 'depth.pth')
        convert(str(tmp_path / 'depth.pth'), base=str(stable_diffusion))
    folder = tmp_path / 'part'
    folder.mkdir()
    (folder / 'model_index.json').write_text('{}')
    with pytest.raises(CheckpointError, match='without unet/'):
        convert(str(folder))
    (folder / 'unet').symlink_to(stable_diffusion / 'unet')
    (folder / 'vae').symlink_to(stable_diffusion / 'vae')
    with pytest.raises(CheckpointError, match='no tokenizer/'):
        convert(str(folder))


def test_a_matting_model_file_with_half_weights(tmp_path: Path):
    card = sized(card_for('d3_matting', SHALLOW), (64, 64))
    model = enliven(create_model('d3_matting', **SHALLOW), 64, 64)
    export_model(model, card, tmp_path / 'model.onnx', half_weights=True)
    predictor = Predictor(tmp_path / 'model.onnx')
    image = example_inputs(card, np.random.default_rng(3))['image'][0]
    first, again = predictor.predict(image).alpha, predictor.predict(image).alpha
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(first, TorchPredictor(model, card).predict(image).alpha, atol=2e-2)
    assert first.std() > 1e-2 and first.min() >= 0 and first.max() <= 1

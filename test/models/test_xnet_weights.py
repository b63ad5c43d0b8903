"""Pre-trained weights of timm, from local files: both halves of an xNet take them."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.tiny_xnet import ENCODERS, TINY

torch = pytest.importorskip('torch', reason='the models need torch')

from safetensors.torch import save_file  # noqa: E402

from dense_perception.models import create_model  # noqa: E402
from dense_perception.models.layers.stem import create_timm_model  # noqa: E402
from dense_perception.models.xnet import XNet, XNetConfig  # noqa: E402


def checkpoint(path: Path, name: str, **options) -> tuple[Path, torch.nn.Module]:
    """A timm classifier with random weights, and its file."""
    import timm
    torch.manual_seed(7)
    net = timm.create_model(name, **options).eval()
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, path)
    return path, net


def overlay(file: Path, **options) -> dict:
    return {**options, 'pretrained_cfg_overlay': {'file': str(file)}}


@pytest.fixture(scope='module')
def atto(tmp_path_factory):
    return checkpoint(tmp_path_factory.mktemp('timm') / 'atto.safetensors', 'convnext_atto')


def test_a_checkpoint_leaves_no_key_of_the_decoder_missing(atto):
    decoder = XNet(XNetConfig(**TINY)).decoder
    missing, unexpected = decoder.load_state_dict(atto[1].state_dict(), strict=False)
    assert missing == []
    assert {key.split('.')[0] for key in unexpected} == {'head'}  # the classifier


@pytest.mark.parametrize(('encoder', 'decoder'), [(True, True), (True, False), (False, True)])
def test_each_half_begins_with_weights_if_it_is_asked_to(atto, encoder, decoder):
    file, net = atto
    options = {'encoder_options': overlay(file), 'decoder_options': overlay(file)}
    model = XNet(XNetConfig('convnext_atto', 'convnext_atto', **options, pretrained=True,
                            pretrained_encoder=encoder, pretrained_decoder=decoder)).eval()
    stages = net.stages.state_dict()
    same = all(torch.equal(stages[k], v) for k, v in model.decoder.stages.state_dict().items())
    assert same == decoder
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        theirs = net.forward_intermediates(x, intermediates_only=True)[-1]
        assert torch.allclose(model.encode(x)[-1], theirs, atol=1e-5) == encoder


def test_nothing_is_loaded_without_being_asked(atto):
    missing = {'pretrained_cfg_overlay': {'file': '/there/is/no/such.file'}}
    create_model('xnet_ladder_xnet_i_22k', **{**TINY, 'encoder_options': missing,
                                              'decoder_options': missing})


def test_decoder_pre_training_is_configuration_in_the_ladder(atto):
    file, net = atto
    options = {'encoder': 'convnext_atto', 'decoder': 'convnext_atto', 'pretrained': True,
               'encoder_options': overlay(file), 'decoder_options': overlay(file)}
    for row, loaded in (('fpn', False), ('rev', False), ('22k', True), ('xnet_i_0', False),
                        ('xnet_i_1k', True)):
        model = create_model(f'xnet_ladder_{row}', **options)
        assert torch.equal(model.encoder.body.stem_0.weight, net.stem[0].weight)
        ours = model.stages[0][0] if row == 'fpn' else model.decoder.stages[0].blocks[0]
        assert torch.equal(ours.mlp.fc1.weight, net.stages[0].blocks[0].mlp.fc1.weight) == loaded


@pytest.mark.parametrize('family', ['swin', 'dinov2', 'mobilenet'])
def test_mount_channels_do_not_disturb_pre_trained_encoders(tmp_path, family):
    fields = ENCODERS[family]
    options = fields.get('encoder_options', {})
    file, _ = checkpoint(tmp_path / 'weights.safetensors', fields['encoder'], **options)
    fields = {**fields, 'encoder_options': overlay(file, **options)}

    def encoder(**more):
        return XNet(XNetConfig(**{**TINY, **fields, **more, 'pretrained': True,
                                  'pretrained_decoder': False})).eval()

    rgb, mount = torch.randn(1, 3, 224, 224), torch.randn(1, 2, 224, 224)
    with torch.no_grad():
        plain = encoder().encode(rgb)[-1]
        aware = encoder(mount_channels=2)
        torch.testing.assert_close(aware.encode(torch.cat([rgb, mount], 1))[-1], plain)
    # It can learn to look at them.
    aware.train()(torch.cat([rgb, mount], 1))['depth'].mean().backward()
    stem = next(m for m in aware.encoder.modules() if isinstance(m, torch.nn.Conv2d))
    assert stem.weight.grad[:, 3:].any()


def test_a_pre_trained_model_without_an_rgb_convolution_says_so(monkeypatch):
    import timm
    monkeypatch.setattr(timm, 'create_model', lambda *_, **__: torch.nn.Linear(3, 3))
    with pytest.raises(ValueError, match='has no convolution of RGB'):
        create_timm_model('mixer', 5, True)

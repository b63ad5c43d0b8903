"""Weights of timm's classification models in encoders and decoders."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch', reason='the models need torch')

from dense_perception.models import create_model  # noqa: E402
from dense_perception.models.checkpoints import CheckpointError  # noqa: E402
from dense_perception.models.checkpoints.timm_weights import load_timm  # noqa: E402


def pair(encoder: str, **options) -> torch.nn.Module:
    return create_model('xnet_convnext_tiny_convnext_tiny', encoder=encoder,
                        decoder='convnext_atto', **options)


def weights(name: str) -> dict[str, torch.Tensor]:
    import timm
    return timm.create_model(name).state_dict()


@pytest.mark.parametrize('name', ['convnext_atto', 'swin_tiny_patch4_window7_224',
                                  'mobilenetv4_conv_small_050', 'vit_tiny_patch16_224',
                                  'eva02_tiny_patch14_224'])
def test_every_kind_of_encoder(name: str):
    model, theirs = pair(name, image_size=(224, 224)), weights(name)
    report = load_timm(model, 'encoder', theirs)
    assert (report.missing, report.unexpected) == ((), ())
    ours = model.encoder.body.state_dict()
    assert len(ours) > 0.9 * len(theirs)  # all but what follows the last map
    for (key, value), reference in zip(ours.items(), theirs.values()):
        assert torch.equal(value, reference), key


def test_stem_and_stages_of_a_decoder():
    model, theirs = pair('convnext_atto'), weights('convnext_atto')
    report = load_timm(model, 'decoder', theirs)
    assert (report.missing, report.unexpected) == ((), ())
    for key, value in model.decoder.state_dict().items():
        assert torch.equal(theirs[key], value), key


def test_stems_are_widened_and_position_tables_resampled():
    model = pair('vit_tiny_patch16_224', image_size=(96, 128), mount_channels=2)
    theirs = weights('vit_tiny_patch16_224')
    assert load_timm(model, 'encoder', theirs).missing == ()
    body = model.encoder.body
    assert body.pos_embed.shape == (1, 1 + 6 * 8, 192)
    stem = body.patch_embed.proj.weight
    assert torch.equal(stem[:, :3], theirs['patch_embed.proj.weight']) and not stem[:, 3:].any()


def test_missing_and_unexpected_keys_are_reported():
    theirs = weights('convnext_atto') | {'more.weight': torch.zeros(1)}
    del theirs['stages.0.blocks.1.norm.bias']
    report = load_timm(pair('convnext_atto'), 'decoder', theirs)
    assert report.missing == ('stages.0.blocks.1.norm.bias',)
    assert report.unexpected == ('more.weight',)


def test_weights_of_another_model_leave_ours_alone():
    model = pair('convnext_atto')
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(CheckpointError, match='not those of timm\'s "convnext_atto".*mismatch'):
        load_timm(model, 'encoder', weights('convnext_femto'))
    with pytest.raises(CheckpointError, match='no decoder that timm knows'):
        load_timm(create_model('depth_anything_v2_small'), 'decoder', {})
    with pytest.raises(CheckpointError, match='no decoder that timm knows'):
        load_timm(create_model('xnet_ladder_fpn', encoder='convnext_atto',
                               decoder='convnext_atto'), 'decoder', {})
    for key, value in model.state_dict().items():
        assert torch.equal(before[key], value), key

"""xNet against the paper's description and against timm."""

from __future__ import annotations

import pytest
from helpers.tiny_xnet import ENCODERS, TINY

torch = pytest.importorskip('torch', reason='the models need torch')

from dense_perception.models import create_model, list_models  # noqa: E402
from dense_perception.models.xnet import XNet, XNetConfig  # noqa: E402

families = pytest.mark.parametrize('family', ENCODERS)
mixings = pytest.mark.parametrize(('mix_with', 'operation'), [
    ('stem', 'multiply'), ('stem', 'add'), ('image', 'multiply'), ('image', 'add')])


def tiny(**options) -> XNet:
    torch.manual_seed(0)
    return XNet(XNetConfig(**{**TINY, **options})).eval()


@mixings
def test_neutral_mixing_leaves_the_decoder_as_timm_trained_it(mix_with, operation):
    import timm  # after the models, which make it importable beside a CPU-only torch
    model = tiny(mix_with=mix_with, operation=operation)
    torch.nn.init.zeros_(model.reshape.fc2.weight)  # the bias is what leaves images unchanged
    reference = timm.create_model('convnext_atto', features_only=True).eval()
    reference.load_state_dict({k.replace('stages.', 'stages_').replace('stem.', 'stem_'): v
                               for k, v in model.decoder.state_dict().items()})
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        stages = model.decode(x, model.encode(x))
        for ours, theirs in zip(stages, reference(x), strict=True):
            torch.testing.assert_close(ours, theirs)


@mixings
def test_mixing_starts_near_neutral_and_is_not_it(mix_with, operation):
    model = tiny(mix_with=mix_with, operation=operation)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        mixed = model.reshaped(x, model.encode(x)[-1])
    assert (mixed - {'multiply': 1.0, 'add': 0.0}[operation]).abs().max() < 0.2
    assert mixed.std() > 0
    assert mixed.shape[1:] == ((3, 64, 64) if mix_with == 'image' else (40, 16, 16))


def test_replacing_leaves_nothing_of_what_is_replaced():
    x, other = torch.randn(2, 1, 3, 64, 64)
    for mix_with in ('image', 'stem'):
        model = tiny(mix_with=mix_with, operation='replace')
        with torch.no_grad():
            maps = model.encode(x)
            for ours, theirs in zip(model.decode(x, maps), model.decode(other, maps), strict=True):
                assert torch.equal(ours, theirs)


@families
def test_every_parameter_gets_a_gradient(family):
    model = tiny(**ENCODERS[family], num_classes=5).train()
    with torch.no_grad():
        for p in model.parameters():
            if not p.any():  # SwinV2 starts with blocks that are switched off
                p.add_(0.1)
    outputs = model(torch.randn(2, 3, 64, 64))
    (outputs['depth'].mean() + outputs['logits'].square().mean()).backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@pytest.mark.parametrize(('mix_with', 'operation'), [
    ('image', 'multiply'), ('image', 'replace'), ('stem', 'replace')])
def test_every_parameter_that_something_reads_gets_a_gradient(mix_with, operation):
    model = tiny(mix_with=mix_with, operation=operation).train()
    model(torch.randn(2, 3, 64, 64))['depth'].mean().backward()
    wrong = [name for name, p in model.named_parameters()
             if p.requires_grad != (p.grad is not None and bool(p.grad.any()))]
    assert wrong == []
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    unread = (mix_with, operation) == ('stem', 'replace')
    assert frozen == ({f'decoder.stem.{name}' for name, _ in model.decoder.stem.named_parameters()}
                      if unread else set())


@families
@pytest.mark.parametrize('mix_with', ['stem', 'image'])
def test_outputs_lie_on_the_pixel_grid_and_keep_to_the_depth_cap(family, mix_with):
    model = tiny(**ENCODERS[family], num_classes=5, max_depth=10.0, mix_with=mix_with)
    for batch, size in ((2, (64, 64)), (1, (96, 160)), (1, (32, 224))):
        with torch.no_grad():
            outputs = model(torch.randn(batch, 3, *size))
        assert outputs['depth'].shape == (batch, *size)
        assert outputs['logits'].shape == (batch, 5, *size)
        assert 0 < outputs['depth'].min() <= outputs['depth'].max() < 10


@families
def test_folding_changes_nothing(family):
    model = tiny(**ENCODERS[family], num_classes=4)
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        before = model(x)
        model.fold_for_inference(64, 96)
        after = model(x)
    for name in before:
        torch.testing.assert_close(after[name], before[name], rtol=1e-4, atol=1e-5)


def test_blending_begins_as_the_identity_and_learns_to_look_across_positions():
    plain, blending = tiny(num_classes=4), tiny(num_classes=4, blend=7)
    missing, unknown = blending.load_state_dict(plain.state_dict(), strict=False)
    assert (missing, unknown) == (['pfp.blend.weight', 'pfp.blend.bias'], [])
    x = torch.randn(1, 3, 64, 64)
    expected, outputs = plain(x), blending(x)
    for name in expected:
        torch.testing.assert_close(outputs[name], expected[name])
    outputs['logits'].square().mean().backward()
    # Also the weights of neighbours, which are 0 so far.
    assert blending.pfp.blend.weight.grad.abs().amin(dim=(2, 3)).min() > 0


# What the encoder sees, and what its re-shaped map is enlarged by before any interpolation.
@pytest.mark.parametrize(('family', 'seen', 'scale'), [
    ('dinov2', (420, 560), 4), ('dinov2_interp', (476, 644), 4), ('vit', (480, 640), 4),
    ('convnext', (480, 640), 8)])
def test_tokens_meet_the_decoders_grid(family, seen, scale):
    model = tiny(**ENCODERS[family])
    assert model.encoder_size(480, 640) == seen
    assert model.reshape.shuffle.upscale_factor == scale
    if family == 'dinov2':  # tokens at exactly 1/16 of the decoder's image, as the paper's sizes
        assert model.encoder_size(352, 1216) == (308, 1064)
        assert model.encoder_size(512, 512) == (448, 448)


def test_strides_that_are_no_power_of_two_are_fitted_or_resized():
    for align, seen in (('fit', (56, 56)), ('interp', (63, 63))):
        model = tiny(encoder='vit_tiny_patch16_224', align=align,
                     encoder_options={'depth': 1, 'patch_size': 7})
        assert model.encoder_size(64, 64) == seen
        assert model(torch.zeros(1, 3, 64, 64))['depth'].shape == (1, 64, 64)


def test_errors_say_what_would_be_right():
    with pytest.raises(ValueError, match='resize to 64x96'):
        tiny()(torch.zeros(1, 3, 60, 90))
    with pytest.raises(ValueError, match='did you mean.*xnet_small'):
        create_model('xnet_smal')
    with pytest.raises(ValueError, match='similar:.*convnext_tiny'):
        tiny(encoder='convnext_tny')
    with pytest.raises(ValueError, match='not a ConvNeXt'):
        tiny(decoder='resnet18')
    for field, choices in (('operation', 'multiply, add, replace'), ('align', 'fit, interp'),
                           ('mix_with', 'stem, image'), ('norm', 'layer, batch'),
                           ('act', 'gelu, relu')):
        with pytest.raises(ValueError, match=f'{field} "wrong" is unknown; choose from {choices}'):
            tiny(**{field: 'wrong'})
    with pytest.raises(ValueError, match='blend 4 is not an odd number'):
        tiny(blend=4)
    with pytest.raises(ValueError, match='without a task'):
        tiny(depth=None)


def test_list_models_filters_by_pattern():
    assert 'xnet_small' in list_models()
    assert list_models('xnet_swin*') == [n for n in list_models() if n.startswith('xnet_swin')]

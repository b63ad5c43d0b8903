"""xNet against the paper and against timm."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch', reason='the models need torch')

from dense_perception.models import create_model, list_models  # noqa: E402
from dense_perception.models.encoders import create_encoder  # noqa: E402
from dense_perception.models.xnet import XNet, XNetConfig  # noqa: E402

TINY = {'encoder': 'mobilenetv4_conv_small_050', 'decoder': 'convnext_atto'}


def tiny(**options) -> XNet:
    torch.manual_seed(0)
    return XNet(XNetConfig(**{**TINY, **options})).eval()


@pytest.mark.parametrize(('options', 'expected'), [
    ({}, 66_413_953),
    ({'mix_with': 'image'}, 64_042_285),
    ({'operation': 'add'}, 66_413_953),
])
def test_parameters_of_the_ablation_pair(options, expected):
    # Counted from the paper's description with timm's ConvNeXt-T twice.
    with torch.device('meta'):
        model = create_model('xnet_convnext_tiny_convnext_tiny', **options)
    assert sum(p.numel() for p in model.parameters()) == expected


@pytest.mark.parametrize('mix_with', ['stem', 'image'])
@pytest.mark.parametrize('operation', ['multiply', 'add'])
def test_neutral_mixing_leaves_the_decoder_as_timm_trained_it(mix_with, operation):
    import timm
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


@pytest.mark.parametrize('mix_with', ['stem', 'image'])
def test_every_parameter_gets_a_gradient(mix_with):
    model = tiny(mix_with=mix_with, num_classes=5).train()
    outputs = model(torch.randn(2, 3, 64, 64))
    (outputs['depth'].mean() + outputs['logits'].square().mean()).backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@pytest.mark.parametrize('size', [(64, 64), (96, 160)])
def test_outputs_lie_on_the_pixel_grid(size):
    model = tiny(num_classes=5, max_depth=10.0)
    with torch.no_grad():
        outputs = model(torch.randn(2, 3, *size))
    assert outputs['depth'].shape == (2, *size)
    assert outputs['logits'].shape == (2, 5, *size)
    assert 0 < outputs['depth'].min() <= outputs['depth'].max() < 10


def test_encoder_turns_swin_features_channels_first():
    encoder = create_encoder('swin_tiny_patch4_window7_224', image_size=(224, 224)).eval()
    with torch.no_grad():
        assert encoder(torch.zeros(1, 3, 64, 96))[-1].shape == (1, encoder.channels[-1], 2, 3)


def test_folding_the_head_changes_nothing():
    model = tiny(num_classes=4)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        before = model(x)
        model.fold_for_inference(64, 64)
        after = model(x)
    for name in before:
        torch.testing.assert_close(after[name], before[name], rtol=1e-4, atol=1e-5)


def test_errors_say_what_would_be_right():
    with pytest.raises(ValueError, match='resize to 64x96'):
        tiny()(torch.zeros(1, 3, 60, 90))
    with pytest.raises(ValueError, match='did you mean.*xnet_small'):
        create_model('xnet_smal')
    with pytest.raises(ValueError, match='similar:.*convnext_tiny'):
        tiny(encoder='convnext_tny')
    with pytest.raises(ValueError, match='ends at 1/32'):
        tiny(encoder='vit_small_patch32_224', encoder_options={'patch_size': 8})
    with pytest.raises(ValueError, match='not a ConvNeXt'):
        tiny(decoder='resnet18')
    with pytest.raises(ValueError, match='choose from multiply, add'):
        tiny(operation='divide')
    with pytest.raises(ValueError, match='without a task'):
        tiny(depth=None)


def test_list_models_filters_by_pattern():
    assert 'xnet_small' in list_models()
    assert list_models('xnet_swin*') == [n for n in list_models() if n.startswith('xnet_swin')]

"""CEDNet's backbone and classifier: what the paper and its public code count, and the cascade."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch', reason='the models need torch')

from dense_perception.models import create_model  # noqa: E402
from dense_perception.models.cednet import (  # noqa: E402
    ARCHITECTURES,
    BackboneConfig,
    CEDNet,
    CEDNetFeatures,
)
from dense_perception.models.complexity import complexity, meta_model  # noqa: E402
from dense_perception.models.encoders import create_encoder  # noqa: E402

# Variant -> parameters with a head for each stage and with the last one only, GMACs at 224x224;
# counted from the public code with fvcore, which counts normalisations too.
COUNTS = {
    'cednet_next_tiny': (40_041_784, 33_826_152, 5.692),
    'cednet_next_small': (65_498_272, 56_174_824, 9.654),
    'cednet_next_base': (105_118_624, 94_615_528, 16.199),
    'cednet_next_tiny_unet': (37_712_440, 31_496_808, 5.058),
    'cednet_next_tiny_hourglass': (37_145_592, 30_929_960, 4.953),
    'cednet_next_tiny_fpn3x3': (37_896_040, 31_942_552, 5.282),
    'cednet_resnet50_tiny': (40_078_392, 34_387_048, 4.989),
    'cednet_swin_tiny': (38_001_249, 32_178_833, 6.109)}
TINY = {'stem_channels': 8, 'channels': (16, 24, 32), 'blocks': (1, 2, 2, 2), 'stages': 3}


def parameters(model) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize('name', COUNTS)
def test_parameters_and_multiply_adds(name):
    supervised, plain, gmacs = COUNTS[name]
    model = meta_model(name)
    assert parameters(model) == supervised
    assert supervised - sum(parameters(head) for head in list(model.heads.values())[:-1]) == plain
    tolerance = 1e-3 if '_next_' in name else 6e-3  # batch norm and window attention: see above
    assert complexity(model, 224, 224).macs / 1e9 == pytest.approx(gmacs, rel=tolerance)


@pytest.mark.parametrize(('name', 'expected'), [
    ('cednet_next_tiny', 30_718_336), ('cednet_next_small', 53_067_008),
    ('cednet_next_base', 91_114_496)])
def test_parameters_of_the_backbone(name, expected):
    with torch.device('meta'):
        assert parameters(CEDNet(ARCHITECTURES[name], last_decoder=False)) == expected


@pytest.mark.parametrize('name', COUNTS)
def test_every_stage_has_maps_at_an_eighth_to_a_thirty_second(name):
    config = ARCHITECTURES[name]
    with torch.device('meta'):
        c2, stages = CEDNet(config).eval()(torch.zeros(2, 3, 224, 224))
    assert c2.shape == (2, config.stem_channels, 56, 56)
    assert len(stages) == config.stages
    fine, middle, coarse = config.channels
    for maps in stages:
        assert [tuple(m.shape) for m in maps] == [
            (2, fine, 28, 28), (2, middle, 14, 14), (2, coarse, 7, 7)]


@pytest.mark.parametrize(('style', 'mixer'), [
    ('fpn', 'next'), ('fpn3x3', 'next'), ('unet', 'next'), ('hourglass', 'next'), ('fpn', 'swin'),
    ('fpn', 'resnet')])
def test_a_stage_reads_only_the_finest_map_of_the_one_before(style, mixer):
    torch.manual_seed(0)
    model = CEDNet(BackboneConfig(**TINY, style=style, mixer=mixer, layer_scale=1.0)).eval()
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        usual = model(x)[1]
        # Whatever the first stage's coarser maps are, the second does not see it.
        model.stages[0].register_forward_hook(
            lambda module, inputs, maps: [maps[0], maps[1] + 1e3, maps[2] * float('nan')])
        assert all(torch.equal(a, b) for a, b in zip(usual[1], model(x)[1][1], strict=True))
        model.stages[0].register_forward_hook(
            lambda module, inputs, maps: [maps[0] + torch.randn_like(maps[0]), *maps[1:]])
        assert not torch.allclose(usual[1][0], model(x)[1][1][0])


def test_coarse_maps_reach_fine_ones_through_the_decoder():
    torch.manual_seed(0)
    model = CEDNet(BackboneConfig(**TINY)).eval()
    with torch.no_grad():
        for parameter in model.stages[0].layers[2].parameters():
            parameter.zero_()
        before = model(torch.ones(1, 3, 64, 64))[1][1][0]
        model.stages[0].layers[2].down[1].bias.normal_()
        assert not torch.allclose(before, model(torch.ones(1, 3, 64, 64))[1][1][0])


@pytest.mark.parametrize('style', ['fpn', 'unet', 'hourglass'])
@pytest.mark.parametrize('last_decoder', [False, True])
def test_drop_path_rises_over_all_blocks_in_the_order_in_which_they_run(style, last_decoder):
    config = BackboneConfig(**TINY, style=style, drop_path=0.3)
    model = CEDNet(config, last_decoder=last_decoder).train()
    ran = []
    for module in model.modules():
        if type(module).__name__ == 'DropPath':
            module.register_forward_pre_hook(lambda module, _: ran.append(module.drop_prob))
    model(torch.randn(1, 3, 32, 32))
    assert ran[0] == 0 and ran[-1] == pytest.approx(0.3)
    steps = [after - before for before, after in zip(ran, ran[1:])]
    assert steps == pytest.approx([0.3 / (len(ran) - 1)] * len(steps))
    assert len(ran) == sum(type(m).__name__.endswith('NeXtBlock') for m in model.modules())


def test_one_output_per_stage_in_training_and_the_last_in_use():
    model = create_model('cednet_next_tiny', **TINY, num_classes=7)
    x = torch.randn(2, 3, 64, 64)
    outputs = model.train()(x)
    assert outputs['class_logits'].shape == (2, 7)
    assert outputs['aux_class_logits'].shape == (2, 2, 7)
    sum(value.square().sum() for value in outputs.values()).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert without == []  # DDP waits for every one of them
    assert set(model.eval()(x)) == {'class_logits'}
    plain = create_model('cednet_next_tiny', **TINY, num_classes=7, deep_supervision=False)
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith(
        ('heads.0', 'heads.1'))})
    assert torch.equal(plain.eval()(x)['class_logits'], model(x)['class_logits'])
    assert set(plain.train()(x)) == {'class_logits'}


def test_sizes_and_choices_that_do_not_exist_are_refused():
    model = create_model('cednet_next_tiny', **TINY)
    with pytest.raises(ValueError, match='40x64 is not a multiple of 32; .* 64x64'):
        model(torch.zeros(1, 3, 40, 64))
    with pytest.raises(ValueError, match='timm has none'):
        BackboneConfig(mixer='cswin')
    with pytest.raises(ValueError, match='choose from fpn'):
        BackboneConfig(style='ladder')
    with pytest.raises(ValueError, match='must be 3'):
        BackboneConfig(channels=(1, 2))
    with pytest.raises(TypeError, match='wings'):
        create_model('cednet_next_tiny', wings=2)
    with pytest.raises(ValueError, match='no public weights'):
        create_model('cednet_next_tiny', pretrained=True)


def test_as_an_encoder_it_gives_its_levels_then_what_earlier_stages_found():
    encoder = create_encoder('cednet_next_tiny', (0, 1, 2, 3), earlier=2, last_decoder=False,
                             **TINY).eval()
    assert encoder.channels == [8, 16, 24, 32, 16, 16]
    assert encoder.strides == [4, 8, 16, 32, 8, 8] and encoder.multiple == 32
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        maps = encoder(x)
        c2, stages = CEDNet.forward(encoder.body, x)
    for found, expected in zip(maps, [c2, *stages[2], stages[1][0], stages[0][0]], strict=True):
        assert torch.equal(found, expected)
    assert [m.shape[1] for m in maps] == encoder.channels
    assert [64 // m.shape[2] for m in maps] == encoder.strides


def test_a_decoder_that_nothing_reads_is_not_built():
    assert create_encoder('cednet_next_tiny', **TINY).body.stages[-1].decoder is None
    assert create_encoder('cednet_next_tiny', (1,), **TINY).body.stages[-1].decoder is not None
    with pytest.raises(ValueError, match='0 to 3'):
        create_encoder('cednet_next_tiny', (4,), **TINY)
    with pytest.raises(ValueError, match='2 earlier stages'):
        create_encoder('cednet_next_tiny', earlier=3, **TINY)


def test_an_encoder_begins_with_a_classifiers_weights(tmp_path):
    torch.manual_seed(0)
    classifier = create_model('cednet_next_tiny', **TINY, num_classes=7)
    file = tmp_path / 'classifier.pt'
    torch.save({'model': classifier.state_dict()}, file)
    overlay = {'pretrained_cfg_overlay': {'file': str(file)}}
    encoder = create_encoder('cednet_next_tiny', (0, 1, 2, 3), in_chans=5, pretrained=True,
                             **TINY, **overlay)
    own, theirs = encoder.body.state_dict(), classifier.backbone.state_dict()
    assert set(own) - set(theirs) == {key for key in own if key.startswith('stages.2.decoder.')}
    stem = own.pop('stem.0.weight')
    assert torch.equal(stem[:, :3], theirs.pop('stem.0.weight')) and not stem[:, 3:].any()
    assert all(torch.equal(own[key], theirs[key]) for key in theirs)
    with pytest.raises(ValueError, match='no public weights.*file of yours'):
        create_encoder('cednet_next_tiny', pretrained=True)
    with pytest.raises(ValueError, match='does not fit'):
        create_encoder('cednet_next_tiny', pretrained=True, **overlay)


def test_timm_knows_it_as_an_encoder_only():
    import timm
    body = timm.create_model('cednet_next_tiny', features_only=True, **TINY)
    assert isinstance(body, CEDNetFeatures)
    with pytest.raises(ValueError, match=r'create_model\("cednet_next_tiny"\)'):
        timm.create_model('cednet_next_tiny')

"""DPT and Depth Anything V2: published counts, shapes, gradients, position embeddings, errors."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the models need torch')

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from dense_perception.export.onnx_export import export_model  # noqa: E402
from dense_perception.inference.card import ModelCard  # noqa: E402
from dense_perception.models import create_model, list_models, model_entry  # noqa: E402
from dense_perception.models.dpt import CONFIGS, DPT  # noqa: E402
from dense_perception.models.encoders import POS_INTERPS, TokenEncoder  # noqa: E402

TINY = {'encoder_options': {'embed_dim': 48, 'num_heads': 3, 'depth': 4}, 'taps': (0, 1, 2, 3),
        'channels': (16, 24, 32, 40), 'features': 32, 'image_size': (64, 64)}
TINY_HYBRID = {**TINY, 'taps': (2, 3), 'channels': (256, 512, 32, 40)}
TINY_ANYTHING = {**TINY, 'image_size': (70, 70)}


def tiny(name: str = 'dpt_large', **options) -> DPT:
    torch.manual_seed(0)
    base = TINY_HYBRID if 'hybrid' in name else TINY_ANYTHING if 'anything' in name else TINY
    model = create_model(name, **{**base, **options}).eval()
    for key, p in model.named_parameters():
        if key.endswith('norm3.weight'):  # timm starts the branches of a ResNet at 0
            torch.nn.init.ones_(p)
    return model


def on_meta(name: str, **options) -> DPT:
    with torch.device('meta'):
        return create_model(name, **options).eval()


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


# The published checkpoints without their 1000-way classifier.
@pytest.mark.parametrize(('name', 'expected'), [
    ('dpt_base', 111_647_081 - 769_000), ('dpt_hybrid', 123_146_985 - 769_000),
    ('dpt_large', 344_055_465 - 1_025_000), ('dpt_large_ade20k', 344_985_364 - 1_025_000),
    ('dpt_hybrid_ade20k', 124_076_884 - 769_000)])
def test_parameters_of_dpt(name, expected):
    assert parameters(on_meta(name)) == expected


# The published checkpoints with DINOv2's mask token, which we have no use for.
@pytest.mark.parametrize(('size', 'expected', 'mask_token'), [
    ('small', 24_785_089, 384), ('base', 97_470_785, 768), ('large', 335_315_649, 1024)])
def test_parameters_of_depth_anything(size, expected, mask_token):
    assert parameters(on_meta(f'depth_anything_v2_{size}')) == expected - mask_token


# Without the products of the attention, as torch counts on a CPU.
@pytest.mark.parametrize(('name', 'giga_macs'), [
    ('dpt_base', 105.7), ('dpt_hybrid', 121.5), ('dpt_large', 241.8)])
def test_multiply_adds_at_384(name, giga_macs):
    model = on_meta(name)
    with torch.device('meta'), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, 384, 384))
    body = model.encoder.body
    attention = 2 * (24 * 24 + 1) ** 2 * body.embed_dim * len(body.blocks)
    assert counter.get_total_flops() / 2 - attention == pytest.approx(giga_macs * 1e9, rel=0.01)


def test_registered_models_say_what_they_predict():
    names = [name for name in list_models() if model_entry(name).system == 'dpt']
    assert set(names) == set(CONFIGS)
    for name in names:
        entry = model_entry(name)
        spec = entry.input
        assert spec.height % spec.multiple == spec.width % spec.multiple == 0
        assert spec.multiple == CONFIGS[name].multiple
        relative = 'depth' in entry.tasks and CONFIGS[name].depth == 'inverse'
        assert (entry.depth_convention == 'inverse_affine') == relative
    assert model_entry('dpt_hybrid_kitti').depth_convention == 'metric'
    assert model_entry('dpt_large_ade20k').tasks == ('segmentation',)
    assert model_entry('depth_anything_v2_small').licence == 'Apache-2.0'


@pytest.mark.parametrize('size', [(64, 64), (96, 160)])
@pytest.mark.parametrize('name', ['dpt_large', 'dpt_hybrid'])
def test_outputs_lie_on_the_pixel_grid(name, size):
    model = tiny(name, num_classes=5)
    x = torch.randn(2, 3, *size)
    with torch.no_grad():
        outputs = model(x)
        assert set(outputs) == {'depth', 'logits'}
        training = model.train()(x)
    assert outputs['depth'].shape == (2, *size)
    assert training['aux_logits'].shape == outputs['logits'].shape == (2, 5, *size)


@pytest.mark.parametrize('size', [(70, 70), (266, 350), (98, 70)])
def test_depth_anything_takes_odd_grids(size):
    with torch.no_grad():
        depth = tiny('depth_anything_v2_small')(torch.randn(1, 3, *size))['depth']
    assert depth.shape == (1, *size)
    assert depth.std() > 0


def test_levels_are_at_a_quarter_to_a_thirty_second():
    for name in ('dpt_large', 'dpt_hybrid'):
        model = tiny(name)
        with torch.no_grad():
            levels = model.levels(torch.randn(1, 3, 64, 96))
            fused = model.fuse(levels)
        assert [tuple(level.shape[2:]) for level in levels] == [(16, 24), (8, 12), (4, 6), (2, 3)]
        assert [tuple(x.shape[2:]) for x in fused] == [(4, 6), (8, 12), (16, 24), (32, 48)]


def test_auxiliary_logits_come_from_the_penultimate_fusion():
    model = tiny(depth=None, num_classes=3, batch_norm=True).train()
    torch.nn.init.zeros_(model.fusion[0].project.weight)  # nothing of it reaches the last output
    logits = model(torch.randn(2, 3, 64, 64))
    logits['aux_logits'].square().mean().backward()
    assert model.fusion[1].project.weight.grad.any()
    assert model.fusion[0].project.weight.grad is None


FROZEN = {'encoder.body.norm.weight', 'encoder.body.norm.bias'} | {
    f'fusion.3.residual1.conv{n}.{kind}' for n in (1, 2) for kind in ('weight', 'bias')}


@pytest.mark.parametrize(('name', 'options', 'frozen'), [
    ('dpt_large', {'num_classes': 5}, FROZEN),
    ('dpt_large', {'readout': 'ignore'}, FROZEN),
    ('dpt_large', {'readout': 'add', 'depth': 'metric_inverse', 'shift': 0.1}, FROZEN),
    ('dpt_hybrid', {}, FROZEN),
    ('depth_anything_v2_small', {}, {name for name in FROZEN if 'fusion' in name}),
    ('depth_anything_v2_metric_indoor_small', {'readout': 'project'},
     {name for name in FROZEN if 'fusion' in name})])
def test_every_parameter_gets_a_gradient_or_is_frozen(name, options, frozen):
    model = tiny(name, **options).train()
    outputs = model(torch.randn(2, 3, *model.config.image_size))
    sum(value.square().mean() for value in outputs.values()).backward()
    without = {key for key, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert without == {key for key, p in model.named_parameters() if not p.requires_grad} == frozen


def test_ddp_needs_no_search_for_unused_parameters(tmp_path):
    torch.distributed.init_process_group('gloo', f'file://{tmp_path}/rendezvous', rank=0,
                                         world_size=1)
    try:
        model = torch.nn.parallel.DistributedDataParallel(tiny(num_classes=3).train())
        for _ in range(2):  # DDP complains in the step after the one that left something out
            outputs = model(torch.randn(2, 3, 64, 64))
            sum(value.square().mean() for value in outputs.values()).backward()
    finally:
        torch.distributed.destroy_process_group()


def test_metric_depth_is_the_inverse_of_what_is_scaled_and_shifted():
    relative = tiny()
    metric = tiny(depth='metric_inverse', scale=0.000305, shift=0.1378)
    metric.load_state_dict(relative.state_dict())
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        y = relative(x)['depth']
        torch.testing.assert_close(metric(x)['depth'], 1 / (0.000305 * y + 0.1378))
        relative.depth_head.conv3.bias.fill_(-1e4)
        assert relative(x)['depth'].max() == 0
        metric.load_state_dict(relative.state_dict())
        assert metric(x)['depth'].max() == pytest.approx(1 / 0.1378)  # 7.257 m: its farthest
        signed = tiny(non_negative=False)
        signed.load_state_dict(relative.state_dict())
        assert signed(x)['depth'].max() < 0


def test_the_class_token_is_read_as_configured():
    tokens = torch.randn(1, 1 + 16, 48)
    read = {kind: tiny(readout=kind).reassemble[0].read for kind in ('ignore', 'add', 'project')}
    torch.testing.assert_close(read['ignore'](tokens), tokens[:, 1:])
    torch.testing.assert_close(read['add'](tokens), tokens[:, 1:] + tokens[:, :1])
    changed = torch.cat([tokens[:, :1] + 1, tokens[:, 1:]], dim=1)
    assert not torch.allclose(read['project'](tokens), read['project'](changed))
    # Registers are tokens in front as well, and are never mistaken for patches.
    model = tiny('depth_anything_v2_small', encoder='vit_small_patch14_reg4_dinov2.lvd142m',
                 readout='add')
    assert model.encoder.prefix_tokens == 5
    with torch.no_grad():
        assert model(torch.randn(1, 3, 70, 84))['depth'].shape == (1, 70, 84)


def encoder(rule: str) -> TokenEncoder:
    torch.manual_seed(0)
    encoder = TokenEncoder('vit_small_patch14_dinov2.lvd142m', image_size=(70, 84), depth=1,
                           embed_dim=8, num_heads=1, pos_interp=rule)
    torch.nn.init.normal_(encoder.body.pos_embed)
    return encoder


@pytest.mark.parametrize('rule', POS_INTERPS)
def test_position_embeddings_are_untouched_on_their_own_grid(rule):
    ours = encoder(rule)
    assert torch.equal(ours.positions(5, 6), ours.body.pos_embed)
    assert torch.equal(ours.positions(7, 9)[:, :1], ours.body.pos_embed[:, :1])


def test_position_embeddings_follow_other_grids_by_different_rules():
    tables = {rule: encoder(rule).positions(4, 9).detach() for rule in POS_INTERPS}
    for index, rule in enumerate(POS_INTERPS):
        assert tables[rule].shape == (1, 1 + 4 * 9, 8)
        for other in POS_INTERPS[:index]:
            assert (tables[rule] - tables[other]).abs().max() > 0.01


@pytest.mark.parametrize(('rule', 'offset'), [('dinov2', 0.1), ('hf', 0.0)])
def test_bicubic_rules_sample_where_they_say(rule, offset):
    """Position i of n is read at (i + 0.5) n0 / (n + offset) - 0.5 of the table's n0."""
    def kernel(distance: np.ndarray) -> np.ndarray:  # cubic convolution, a = -0.75
        d, a = np.abs(distance), -0.75
        near = (a + 2) * d ** 3 - (a + 3) * d ** 2 + 1
        far = a * (d ** 3 - 5 * d ** 2 + 8 * d - 4)
        return np.where(d <= 1, near, np.where(d < 2, far, 0))

    def matrix(size: int, table: int) -> np.ndarray:
        at = (np.arange(size) + 0.5) * table / (size + offset) - 0.5
        weights = np.zeros((size, table))
        for row, place in enumerate(at):
            for tap in range(int(np.floor(place)) - 1, int(np.floor(place)) + 3):
                weights[row, np.clip(tap, 0, table - 1)] += kernel(place - tap)
        return weights

    ours = encoder(rule)
    table = ours.body.pos_embed.detach()[0, 1:].reshape(5, 6, 8).double().numpy()
    expected = np.einsum('hy,wx,yxc->hwc', matrix(7, 5), matrix(4, 6), table)
    found = ours.positions(7, 4).detach()[0, 1:].reshape(7, 4, 8).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(('name', 'size'), [
    ('dpt_large', (64, 96)), ('dpt_hybrid', (96, 64)), ('depth_anything_v2_small', (98, 126))])
def test_folding_for_inference_changes_nothing(name, size):
    model = tiny(name, num_classes=3)
    x = torch.randn(1, 3, *size)
    with torch.no_grad():
        with FlopCounterMode(display=False) as published:
            before = model(x)
        model.fold_for_inference(*size)
        with FlopCounterMode(display=False) as folded:
            after = model(x)
    for key, value in before.items():
        assert value.std() > 1e-4
        torch.testing.assert_close(after[key], value, rtol=1e-5, atol=1e-5)
    assert folded.get_total_flops() < published.get_total_flops()
    assert model.encoder.grid == tuple(side // model.encoder.patch for side in size)


@pytest.mark.parametrize(('options', 'sentence'), [
    ({'readout': 'mean'}, 'choose from ignore, add, project'),
    ({'depth': 'metres'}, 'choose from inverse, metric_inverse, sigmoid'),
    ({'depth': None}, 'give depth or num_classes'),
    ({'taps': (5, 11, 17)}, r'3 levels; a DPT has 4, for example taps \(5, 11, 17, 23\)'),
    ({'taps': (3, 2, 1, 0)}, 'counted from 0 and ascend'),
    ({'taps': (0, 1, 2, 4)}, r'has 4 blocks, there is no tap \[4\]'),
    ({'taps': (2, 3), 'stages': (0, 1)}, '0 ResNet stages.*a hybrid such as'),
    ({'channels': (8, 8)}, 'must be 4, one per level'),
    ({'features': 33}, 'must be even'),
    ({'depth': 'metric_inverse', 'scale': -1.0}, 'above 0'),
    ({'depth': 'sigmoid', 'max_depth': 0}, 'above 0 metres'),
    ({'multiple': 24}, 'multiple of 16, the patch size'),
    ({'pos_interp': 'nearest'}, 'choose from dinov2, hf, timm, dpt_bilinear'),
    ({'encoder': 'vit_large_patch16_38'}, 'similar:.*vit_large_patch16_384')])
def test_a_wrong_configuration_is_refused_with_what_is_right(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        tiny(**options)


def test_other_wrong_inputs_are_refused_with_what_is_right():
    with pytest.raises(ValueError, match='480x630 is not a multiple of 32; .* 480x640'):
        tiny()(torch.zeros(1, 3, 480, 630))
    with pytest.raises(ValueError, match='multiple of 14; .* 490x644'):
        tiny('depth_anything_v2_small')(torch.zeros(1, 3, 480, 640))
    with pytest.raises(ValueError, match=r'begin with .* \(256, 512\)'):
        tiny('dpt_hybrid', channels=(96, 192, 32, 40))
    with pytest.raises(ValueError, match='no class token to add'):
        tiny(encoder='vit_base_patch16_siglip_384', readout='add')


def test_lists_from_json_make_the_same_model():
    model = tiny(taps=[0, 1, 2, 3], channels=[16, 24, 32, 40], image_size=[64, 64])
    assert model.config == tiny().config


@pytest.mark.parametrize(('name', 'size'), [
    ('dpt_hybrid', (64, 96)), ('depth_anything_v2_metric_indoor_small', (98, 126))])
def test_model_files_agree_with_pytorch(name, size, tmp_path):
    model = tiny(name)
    entry = model_entry(name)
    spec = entry.input
    card = ModelCard(name, entry.system, name, entry.tasks, *size, ('depth',), spec.multiple,
                     spec.resize, (spec.height, spec.width), spec.interpolation, mean=spec.mean,
                     std=spec.std, depth_convention=entry.depth_convention)
    parity = export_model(model, card, tmp_path / 'model.onnx')
    print(parity)
    assert parity.depth_error < 1e-4


def test_the_mount_is_a_further_input_of_dpt_too():
    from dense_perception.export.cards import card_for
    options = {'mount_channels': 2, 'depth': 'log_height', 'image_size': (64, 64)}
    card = card_for('dpt_large', {**TINY, **options})
    assert (card.depth_convention, card.mount) == ('metric', 'optional')
    model = tiny('dpt_large', **options).eval()
    x = torch.randn(1, 5, 64, 64)
    with torch.no_grad():
        with_mount = model(x)['depth']
        without = model(x * torch.tensor([1.0, 1, 1, 0, 0]).view(1, 5, 1, 1))['depth']
    assert not torch.allclose(with_mount, without)
    assert card_for('dpt_large', TINY).depth_convention == 'inverse_affine'

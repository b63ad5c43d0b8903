"""CEDNet under heads for every pixel, and as an encoder of xNet."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch', reason='the models need torch')

import torch.nn.functional as F  # noqa: E402

from dense_perception.models import create_model, list_models, model_entry  # noqa: E402
from dense_perception.models.cednet import CONFIGS, CEDNetConfig  # noqa: E402
from dense_perception.models.complexity import complexity, meta_model  # noqa: E402
from dense_perception.models.layers.pooling import PyramidPooling, average_to  # noqa: E402

TINY = {'encoder_options': {'stem_channels': 8, 'channels': (16, 24, 32), 'blocks': (1, 1, 1, 1),
                            'layer_scale': 1.0}, 'width': 16}
NAMES = ('cednet_next_tiny_upernet_ade20k', 'cednet_next_tiny_ade20k', 'cednet_next_tiny_nyu')


@pytest.mark.parametrize(('size', 'params', 'gflops'), [
    ('tiny', 61, 962), ('small', 83, 1045), ('base', 123, 1184)])
def test_upernet_costs_what_table_3_says(size, params, gflops):
    costs = complexity(meta_model(f'cednet_next_{size}_upernet_ade20k'), 512, 2048)
    assert round(costs.params / 1e6) == params
    assert round(costs.macs / 1e9) == gflops  # the paper calls multiply-adds FLOPs
    assert costs.outputs == {'logits': (1, 150, 512, 2048)}


@pytest.mark.parametrize('name', NAMES)
def test_outputs_have_the_size_of_the_image_and_every_parameter_learns(name):
    model = create_model(name, **TINY).train()
    outputs = model(torch.randn(2, 3, 64, 96))
    if 'ade20k' in name:
        assert outputs['logits'].shape == (2, 150, 64, 96)
        assert outputs['aux_logits'].shape == (2, 150, 8, 12)
    else:
        assert set(outputs) == {'depth'} and outputs['depth'].shape == (2, 64, 96)
        assert outputs['depth'].min() > 0 and outputs['depth'].max() < 10
    sum(value.square().mean() for value in outputs.values()).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    assert 'aux_logits' not in model.eval()(torch.randn(1, 3, 64, 64))
    with pytest.raises(ValueError, match='not a multiple of 32'):
        model(torch.zeros(1, 3, 64, 72))


def test_the_auxiliary_head_reads_the_finest_map_of_the_stage_before():
    model = create_model('cednet_next_tiny_upernet_ade20k', **TINY)
    model.eval()
    seen = {}
    model.head.register_forward_pre_hook(lambda _, args: seen.update(head=args[0]))
    model.encoder.body.stages[1].register_forward_hook(
        lambda _, args, maps: seen.update(before=maps[0]))
    model.encoder.register_forward_hook(lambda _, args, maps: seen.update(maps=maps))
    with torch.no_grad():
        model(torch.randn(1, 3, 64, 96))
    assert torch.equal(seen['maps'][4], seen['before'])
    assert [m.shape[-1] for m in seen['maps']] == [24, 12, 6, 3, 12]
    assert all(a is b for a, b in zip(seen['head'], seen['maps'][:4], strict=True))


def test_depth_and_masks_from_one_trunk():
    model = create_model('cednet_next_tiny_nyu', **TINY, num_classes=8, mount_channels=2,
                         depth='log_height').eval()
    assert model.in_chans == 5
    outputs = model(torch.randn(1, 5, 32, 64))
    assert {k: tuple(v.shape) for k, v in outputs.items()} == {
        'depth': (1, 32, 64), 'logits': (1, 8, 32, 64)}


def test_registered_tasks_and_caps():
    assert len(CONFIGS) == 12
    for name, config in CONFIGS.items():
        entry = model_entry(name)
        assert entry.system == 'cednet' and entry.paper
        assert entry.tasks == (('depth',) if config.depth else ('segmentation',))
        if config.depth:
            assert config.max_depth == (80 if 'kitti' in name else 10)
            assert entry.depth_convention == 'metric'
    assert set(CONFIGS) == set(list_models('cednet*', ('depth', 'segmentation')))
    with pytest.raises(ValueError, match='choose from plain, upernet'):
        CEDNetConfig(head='fancy')


@pytest.mark.parametrize('size', [(7, 7), (12, 5), (1, 2), (6, 18)])
def test_means_over_a_grid_are_those_of_adaptive_pooling(size):
    x = torch.randn(2, 3, *size)
    for cells in (1, 2, 3, 6):
        torch.testing.assert_close(average_to(x, cells), F.adaptive_avg_pool2d(x, cells))


def test_pyramid_pooling_lets_the_whole_image_speak():
    pooling = PyramidPooling(4, 6).eval()
    x = torch.randn(1, 4, 9, 9)
    other = x.clone()
    other[..., 8, 8] += 100  # far beyond the reach of one 3x3 convolution
    with torch.no_grad():
        assert not torch.allclose(pooling(x)[..., 0, 0], pooling(other)[..., 0, 0])


def test_an_xnet_takes_it_as_its_encoder():
    model = create_model('xnet_convnext_tiny_convnext_tiny', encoder='cednet_next_tiny',
                         encoder_options=TINY['encoder_options'], decoder='convnext_atto')
    outputs = model(torch.randn(1, 3, 64, 96))
    assert outputs['depth'].shape == (1, 64, 96)
    outputs['depth'].mean().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []

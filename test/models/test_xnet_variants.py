"""The xNets of the paper's tables: names, parameters, multiply-adds, meaning."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip('torch', reason='the models need torch')

from dense_perception.models import create_model, list_models, model_entry  # noqa: E402
from dense_perception.models.complexity import complexity, meta_model  # noqa: E402
from dense_perception.models.xnet import CONFIGS  # noqa: E402

# Variant -> parameters of xNet and of xNet-I, and GMACs at 224x224, counted from the paper's
# description with timm's models by other means than ours.
COUNTS = {
    'xnet_convnext_tiny_convnext_tiny': (66_413_953, 64_042_285, 12.07),
    'xnet_swinl_convnextv2t_nyu': (238_522_741, 233_791_777, 61.8),
    'xnet_swinl_convnextb_kitti': (306_069_685, 298_183_745, 75.1),
    'xnet_swinl_convnextl_ade20k': (434_480_586, 420_278_550, 102.3),
    'xnet_dinov2l_convnextv2b_nyu': (403_770_113, 402_441_613, None),
}


def parameters(name: str, **options) -> int:
    return sum(p.numel() for p in meta_model(name, **options).parameters())


@pytest.mark.parametrize('name', COUNTS)
def test_parameters_and_multiply_adds(name):
    xnet, xnet_i, gmacs = COUNTS[name]
    assert (parameters(name), parameters(name, mix_with='image')) == (xnet, xnet_i)
    if gmacs is not None:
        assert complexity(meta_model(name), 224, 224).macs / 1e9 == pytest.approx(gmacs, rel=0.01)


def test_variants_that_differ_only_in_what_they_predict():
    for name, like, fields in (
            ('xnet_swinl_convnextb_ddad', 'xnet_swinl_convnextb_kitti', {'max_depth': 200.0}),
            ('xnet_dinov2l_convnextv2b_kitti', 'xnet_dinov2l_convnextv2b_nyu',
             {'max_depth': 80.0}),
            ('xnet_swinl_convnextl_cityscapes', 'xnet_swinl_convnextl_ade20k',
             {'num_classes': 19})):
        assert CONFIGS[name] == replace(CONFIGS[like], **fields)


def test_multiply_adds_of_dinov2_where_both_halves_see_224():
    # 98.9 leaves out the two products inside attention: 2 N^2 D per block, N = 16^2 + 1 tokens.
    model = meta_model('xnet_dinov2l_convnextv2b_nyu', align='interp')
    assert model.encoder_size(224, 224) == (224, 224)
    attention = 24 * 2 * 257 ** 2 * 1024
    assert (complexity(model, 224, 224).macs - attention) / 1e9 == pytest.approx(98.9, rel=0.01)


def test_xnet_i_with_the_published_patch_size_has_a_smaller_rs():
    options = {'align': 'interp', 'mix_with': 'image'}
    assert parameters('xnet_dinov2l_convnextv2b_nyu', **options) == 402_257_113


@pytest.mark.parametrize(('name', 'task', 'size', 'cap'), [
    ('xnet_swinl_convnextv2t_nyu', 'depth', (480, 640), 10),
    ('xnet_dinov2l_convnextv2b_nyu', 'depth', (480, 640), 10),
    ('xnet_swinl_convnextb_kitti', 'depth', (352, 1216), 80),
    ('xnet_dinov2l_convnextv2b_kitti', 'depth', (352, 1216), 80),
    ('xnet_swinl_convnextb_ddad', 'depth', (608, 960), 200),
    ('xnet_swinl_convnextl_ade20k', 'segmentation', (512, 512), 150),
    ('xnet_swinl_convnextl_cityscapes', 'segmentation', (512, 1024), 19)])
def test_rows_of_the_tables(name, task, size, cap):
    entry = model_entry(name)
    assert (entry.tasks, (entry.input.height, entry.input.width)) == ((task,), size)
    assert 'Table' in entry.paper
    config = CONFIGS[name]
    assert cap == (config.num_classes if task == 'segmentation' else config.max_depth)


def test_every_xnet_names_its_parts_and_its_source():
    for name in list_models('xnet*'):
        entry = model_entry(name)
        assert entry.system == 'xnet' and entry.paper and entry.build.__doc__
    assert model_entry('xnet_small').licence == 'Apache-2.0'


def test_the_robots_models_predict_two_tasks_from_five_channels():
    for name in ('xnet_small', 'xnet_base'):
        assert model_entry(name).tasks == ('depth', 'segmentation')
        assert (CONFIGS[name].num_classes, CONFIGS[name].mount_channels) == (8, 2)
    model = meta_model('xnet_base')
    assert complexity(model, 64, 64).outputs == {'depth': (1, 64, 64), 'logits': (1, 8, 64, 64)}
    assert model.in_chans == 5


def test_an_override_that_does_not_exist_is_refused():
    with pytest.raises(TypeError, match='wings'):
        create_model('xnet_small', wings=2)

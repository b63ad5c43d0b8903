"""Public checkpoints: recognised, converted without changing a bit, refused with a reason."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch', reason='the models need torch')

from dense_perception.models import checkpoints, create_model  # noqa: E402
from dense_perception.models.checkpoints import CheckpointError, Layout  # noqa: E402
from dense_perception.models.checkpoints.dpt_keys import (  # noqa: E402
    HF,
    HF_ANYTHING,
    HF_ANYTHING_MEMORY,
    ISL,
    OFFICIAL,
)

DPT_KINDS = (ISL, HF)
ANYTHING_KINDS = (OFFICIAL, HF_ANYTHING, HF_ANYTHING_MEMORY)


def shapes_of(variant: str, **overrides) -> dict[str, torch.Tensor]:
    """Our state dict on the meta device."""
    with torch.device('meta'):
        return create_model(variant, **overrides).state_dict()


def values_of(variant: str, **overrides) -> dict[str, torch.Tensor]:
    """Our state dict with random values; counters of batch normalisation stay integers."""
    generator = torch.Generator().manual_seed(0)
    return {key: torch.randn(tensor.shape, generator=generator) if tensor.is_floating_point()
            else torch.tensor(7) for key, tensor in shapes_of(variant, **overrides).items()}


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert [key for key in a if not torch.equal(a[key], b[key])] == []


# What the published files are, by number of tensors: of isl-org or the authors, of Hugging Face.
@pytest.mark.parametrize(('variant', 'lengths'), [
    ('dpt_hybrid', (368, 414)), ('dpt_large', (368, 462)), ('dpt_large_ade20k', (442, 536)),
    ('depth_anything_v2_small', (239, 287)), ('depth_anything_v2_base', (239, 287)),
    ('depth_anything_v2_large', (407, 503)), ('depth_anything_v2_giant', None),
    ('dpt_hybrid_ade20k', None), ('dpt_base', None)])
def test_every_layout_is_recognised_by_its_shapes(variant, lengths):
    ours = shapes_of(variant)
    kinds = DPT_KINDS if variant.startswith('dpt') else ANYTHING_KINDS
    found = []
    for kind in kinds:
        theirs = checkpoints.from_ours(ours, Layout(kind, variant))
        assert checkpoints.detect(theirs) == Layout(kind, variant)
        back = checkpoints.to_ours(theirs, Layout(kind, variant))
        assert {k: v.shape for k, v in back.items()} == {k: v.shape for k, v in ours.items()}
        found.append(len(theirs))
    assert lengths is None or tuple(found[:2]) == lengths


@pytest.mark.parametrize(('variant', 'kinds'), [
    ('dpt_hybrid_ade20k', DPT_KINDS), ('depth_anything_v2_small', ANYTHING_KINDS)])
def test_conversion_changes_no_bit(variant, kinds):
    ours = state = values_of(variant)
    for kind in (*kinds, kinds[0]):
        layout = Layout(kind, variant)
        theirs = checkpoints.from_ours(state, layout)
        state = checkpoints.to_ours(theirs, layout)
        assert_same(state, ours)
        assert len({tensor.data_ptr() for tensor in theirs.values()}) == len(theirs)


def test_parts_of_a_layer_keep_their_order():
    # Gated MLPs: the packed matrix is the gate above what it gates.
    variant = 'depth_anything_v2_giant'
    packed = {'encoder.body.blocks.3.mlp.fc1.weight': torch.arange(4.0).view(4, 1),
              'encoder.body.blocks.3.attn.qkv.bias': torch.arange(6.0),
              'encoder.body.cls_token': torch.zeros(1, 1, 2)}
    theirs = checkpoints.from_ours(packed, Layout(HF_ANYTHING_MEMORY, variant))
    block = 'backbone.encoder.layer.3'
    assert theirs[f'{block}.mlp.gate_proj.weight'].tolist() == [[0], [1]]
    assert theirs[f'{block}.mlp.up_proj.weight'].tolist() == [[2], [3]]
    assert [theirs[f'{block}.attention.{part}_proj.bias'].tolist() for part in 'qkv'] == [
        [0, 1], [2, 3], [4, 5]]
    official = checkpoints.from_ours(packed, Layout(OFFICIAL, variant))
    assert torch.equal(official['pretrained.blocks.3.mlp.w12.weight'],
                       packed['encoder.body.blocks.3.mlp.fc1.weight'])
    assert official['pretrained.mask_token'].shape == (1, 2)


@pytest.mark.parametrize(('variant', 'kind', 'name', 'expected'), [
    ('dpt_hybrid', ISL, 'dpt_hybrid-midas-501f0c75.pt', 'dpt_hybrid'),
    ('dpt_hybrid', ISL, 'dpt_hybrid_kitti-cb926ef4.pt', 'dpt_hybrid_kitti'),
    ('dpt_hybrid', ISL, 'dpt_hybrid_nyu-2ce69ec7.pt', 'dpt_hybrid_nyu'),
    ('depth_anything_v2_base', OFFICIAL, 'depth_anything_v2_vitb.pth', 'depth_anything_v2_base'),
    ('depth_anything_v2_base', OFFICIAL, 'depth_anything_v2_metric_hypersim_vitb.pth',
     'depth_anything_v2_metric_indoor_base'),
    ('depth_anything_v2_large', OFFICIAL, 'depth_anything_v2_metric_vkitti_vitl.pth',
     'depth_anything_v2_metric_outdoor_large'),
    ('depth_anything_v2_small', HF_ANYTHING, 'Depth-Anything-V2-Metric-Outdoor-Small-hf',
     'depth_anything_v2_metric_outdoor_small')])
def test_names_tell_what_shapes_do_not(variant, kind, name, expected):
    theirs = checkpoints.from_ours(shapes_of(variant), Layout(kind, variant))
    assert checkpoints.detect(theirs, name=name) == Layout(kind, expected)


def test_the_first_depth_anything_read_the_last_blocks():
    theirs = checkpoints.from_ours(shapes_of('depth_anything_v2_small'),
                                   Layout(OFFICIAL, 'depth_anything_v2_small'))
    layout = checkpoints.detect(theirs, name='depth_anything_vits14.pth')
    assert layout.overrides == {'taps': (8, 9, 10, 11)}


def test_the_configuration_of_hugging_face_counts():
    theirs = checkpoints.from_ours(shapes_of('depth_anything_v2_small'),
                                   Layout(HF_ANYTHING, 'depth_anything_v2_small'))
    config = {'depth_estimation_type': 'metric', 'max_depth': 80,
              'backbone_config': {'out_indices': [9, 10, 11, 12]}}
    assert checkpoints.detect(theirs, config) == Layout(
        HF_ANYTHING, 'depth_anything_v2_metric_outdoor_small', {'taps': (8, 9, 10, 11)})
    config = {'depth_estimation_type': 'metric', 'max_depth': 10,
              'backbone_config': {'out_features': ['stage3', 'stage6', 'stage9', 'stage12']}}
    assert checkpoints.detect(theirs, config) == Layout(
        HF_ANYTHING, 'depth_anything_v2_metric_indoor_small', {'max_depth': 10})
    theirs = checkpoints.from_ours(shapes_of('dpt_large'), Layout(HF, 'dpt_large'))
    config = {'backbone_out_indices': [4, 11, 17, 23], 'readout_type': 'project'}
    assert checkpoints.detect(theirs, config).overrides == {'taps': (4, 11, 17, 23)}


def test_sizes_that_differ_from_the_registered_become_overrides():
    options = {'image_size': (224, 224), 'features': 64, 'num_classes': 19, 'aux_head': False,
               'channels': (32, 64, 128, 128), 'readout': 'ignore'}
    theirs = checkpoints.from_ours(shapes_of('dpt_large_ade20k', **options),
                                   Layout(HF, 'dpt_large_ade20k', options))
    layout = checkpoints.detect(theirs, {'readout_type': 'ignore'})
    assert layout == Layout(HF, 'dpt_large_ade20k', options)
    ours = checkpoints.to_ours(theirs, layout)
    with torch.device('meta'):
        report = checkpoints.load_converted(
            create_model(layout.variant, **layout.overrides), ours)
    assert (report.missing, report.unexpected) == ((), ())


def test_a_state_dict_is_found_where_trainers_put_it():
    state = {'a': torch.zeros(1)}
    assert_same(checkpoints.unwrap(state), state)
    assert_same(checkpoints.unwrap({'model': state, 'optimizer': {}, 'epoch': 3}), state)
    assert_same(checkpoints.unwrap({'state_dict': {'module.a': state['a']}}), state)
    with pytest.raises(CheckpointError, match='no state dict'):
        checkpoints.unwrap({'epoch': 3})


def test_what_is_left_over_is_reported():
    model = create_model('depth_anything_v2_small')
    layout = Layout(OFFICIAL, 'depth_anything_v2_small')
    theirs = checkpoints.from_ours(model.state_dict(), layout)
    del theirs['depth_head.projects.1.bias']
    theirs['teacher.weight'] = torch.zeros(1)
    report = checkpoints.load_converted(model, checkpoints.to_ours(theirs, layout))
    assert report.missing == ('reassemble.1.project.bias',)
    assert report.unexpected == ('teacher.weight',)


def test_refusals_say_what_would_be_right():
    variant = 'depth_anything_v2_small'
    ours = shapes_of(variant)
    layout = Layout(HF_ANYTHING, variant)
    theirs = checkpoints.from_ours(ours, layout)
    with pytest.raises(CheckpointError, match=r'unknown .*conv1.weight.*recognised are DPT \(isl'):
        checkpoints.detect({'conv1.weight': torch.zeros(1)})
    with pytest.raises(CheckpointError, match='384 wide with 1 blocks.*1024 with 24'):
        checkpoints.detect({k: v for k, v in theirs.items()
                            if 'encoder.layer.' not in k or 'encoder.layer.0.' in k})
    incomplete = dict(theirs)
    del incomplete['backbone.encoder.layer.4.attention.attention.key.bias']
    with pytest.raises(CheckpointError, match='no backbone.encoder.layer.4.attention.*key.bias'):
        checkpoints.to_ours(incomplete, layout)
    with pytest.raises(CheckpointError, match='"segmentation_head.*no counterpart'):
        checkpoints.from_ours(shapes_of(variant, num_classes=3), layout)
    with torch.device('meta'):
        other = create_model(variant, image_size=(224, 224))
    with pytest.raises(CheckpointError, match=r'pos_embed" is \(1, 1370, .* \(1, 257, '):
        checkpoints.load_converted(other, ours)
    folded = {**theirs, 'backbone.embeddings.position_embeddings': torch.zeros(1, 1 + 6, 384)}
    with pytest.raises(CheckpointError, match='not of a square grid'):
        checkpoints.detect(folded)
    del theirs['neck.convs.2.weight']
    with pytest.raises(CheckpointError, match='reduce.2.weight'):
        checkpoints.detect(theirs)

"""The layout of CEDNet's public code: no weights were published, so its keys are what is known."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch', reason='the models need torch')

from dense_perception.models import checkpoints, create_model  # noqa: E402
from dense_perception.models.checkpoints import CheckpointError, Layout  # noqa: E402
from dense_perception.models.checkpoints.cednet import backbone_state  # noqa: E402
from dense_perception.models.checkpoints.cednet_keys import (  # noqa: E402
    CLASSIFIER,
    MM_BACKBONE,
    UPERNET,
)

BLOCK = ['gamma', 'dwconv.weight', 'dwconv.bias', 'norm.weight', 'norm.bias', 'pwconv1.weight',
         'pwconv1.bias', 'pwconv2.weight', 'pwconv2.bias']
PAIR = [f'{layer}.{kind}' for layer in (0, 1) for kind in ('weight', 'bias')]
LONG_RANGE = ['gamma', 'pwconv1.weight', 'pwconv1.bias', 'pwconv2.weight', 'pwconv2.bias', *(
    f'dwconv{n}.{key}' for n in (1, 2) for key in PAIR)]


def keys_of_tiny() -> set[str]:
    """The keys of the published code's CEDNet-NeXt-T, written out from their description."""
    keys = {f'stem.{n}.{kind}' for n in (0, 1, 3, 4) for kind in ('weight', 'bias')}
    keys |= {f'stages.0.{n}.{key}' for n in range(3) for key in BLOCK}
    keys |= {f'stages.0.3.{key}' for key in PAIR}
    for stage in (1, 2, 3):
        for level, (count, names) in enumerate(((2, BLOCK), (4, BLOCK), (2, LONG_RANGE))):
            keys |= {f'stages.{stage}.0.encoder.{level}.{n}.{key}'
                     for n in range(count) for key in names}
        keys |= {f'stages.{stage}.0.encoder_downsample.{n}.{key}' for n in (0, 1) for key in PAIR}
        keys |= {f'final_layers.{stage - 1}.{key}' for key in PAIR}
        keys |= {f'{name}.{stage - 1}.{kind}' for name in ('norms', 'heads')
                 for kind in ('weight', 'bias')}
    for stage in (1, 2):
        for n in (0, 1):
            keys |= {f'stages.{stage}.1.{part}.{kind}' for kind in ('weight', 'bias')
                     for part in (f'decoder_upsample.{n}.0', f'decoder_norm.{n}')}
    return keys


def shapes_of(variant: str, **overrides) -> dict[str, torch.Tensor]:
    """Our state dict on the meta device."""
    with torch.device('meta'):
        return create_model(variant, **overrides).state_dict()


def test_the_published_keys_of_tiny_are_343():
    theirs = checkpoints.from_ours(shapes_of('cednet_next_tiny'),
                                   Layout(CLASSIFIER, 'cednet_next_tiny'))
    assert len(theirs) == 343 and set(theirs) == keys_of_tiny()
    assert theirs['stages.1.1.decoder_norm.0.weight'].shape == (352,)
    assert theirs['stages.1.1.decoder_upsample.1.0.weight'].shape == (192, 352, 1, 1)
    assert theirs['stages.3.0.encoder.2.1.dwconv2.0.weight'].shape == (512, 1, 7, 7)
    assert theirs['stages.0.3.0.weight'].shape == (192, 96, 2, 2)
    assert theirs['final_layers.2.0.weight'].shape == (2048, 512, 1, 1)


@pytest.mark.parametrize('variant', ['cednet_next_tiny', 'cednet_next_small', 'cednet_next_base'])
def test_shapes_tell_the_variant(variant):
    ours = shapes_of(variant)
    theirs = checkpoints.from_ours(ours, Layout(CLASSIFIER, variant))
    assert checkpoints.detect(theirs) == Layout(CLASSIFIER, variant)
    back = checkpoints.to_ours(theirs, Layout(CLASSIFIER, variant))
    assert {k: v.shape for k, v in back.items()} == {k: v.shape for k, v in ours.items()}


def test_one_head_and_other_classes_are_told():
    layout = Layout(CLASSIFIER, 'cednet_next_tiny', {'num_classes': 10, 'deep_supervision': False})
    theirs = checkpoints.from_ours(shapes_of('cednet_next_tiny', **layout.overrides), layout)
    assert checkpoints.detect(theirs) == layout


def test_conversion_changes_no_bit():
    generator = torch.Generator().manual_seed(0)
    ours = {key: torch.randn(tensor.shape, generator=generator)
            for key, tensor in shapes_of('cednet_next_tiny').items()}
    layout = Layout(CLASSIFIER, 'cednet_next_tiny')
    loaded = {'model': checkpoints.from_ours(ours, layout), 'epoch': 299}
    model = create_model('cednet_next_tiny')
    report = checkpoints.load_converted(
        model, checkpoints.to_ours(checkpoints.unwrap(loaded), layout))
    assert not report.missing and not report.unexpected
    state = model.state_dict()
    assert all(torch.equal(state[key], ours[key]) for key in ours)


def test_a_backbone_comes_out_of_every_layout():
    ours = shapes_of('cednet_next_tiny')
    names = {key.removeprefix('backbone.') for key in ours if key.startswith('backbone.')}
    published = checkpoints.from_ours(ours, Layout(CLASSIFIER, 'cednet_next_tiny'))
    in_mm = {f'backbone.{key}': value for key, value in published.items()
             if key.startswith(('stem', 'stages'))}
    in_mm |= {f'backbone.stages.3.1.{part}.{kind}': torch.empty(1, device='meta')
              for kind in ('weight', 'bias')
              for part in ('decoder_upsample.0.0', 'decoder_norm.1')}
    in_mm['bbox_head.retina_cls.weight'] = torch.empty(1, device='meta')
    assert checkpoints.detect(in_mm) == Layout(MM_BACKBONE, 'cednet_next_tiny')
    assert set(backbone_state(published)) == set(backbone_state(ours)) == names
    assert set(backbone_state(in_mm)) - names == {
        f'stages.2.decoder.{part}.{kind}' for part in ('project.0', 'norm.1')
        for kind in ('weight', 'bias')}
    encoder = {key.replace('backbone.', 'encoder.body.'): value for key, value in ours.items()}
    assert set(backbone_state(encoder)) == names
    with pytest.raises(CheckpointError, match='no CEDNet backbone'):
        backbone_state({'stem.1.weight': torch.zeros(1)})


def test_sizes_of_no_public_model_are_refused():
    theirs = checkpoints.from_ours(shapes_of('cednet_next_tiny', stages=2),
                                   Layout(CLASSIFIER, 'cednet_next_tiny'))
    with pytest.raises(CheckpointError, match='cednet_next_tiny'):
        checkpoints.detect(theirs)


@pytest.mark.parametrize('overrides', [{}, {'num_classes': 19, 'aux_head': False}])
def test_upernet_comes_and_goes_in_the_names_of_mmsegmentation(overrides):
    layout = Layout(UPERNET, 'cednet_next_tiny_upernet_ade20k', overrides)
    ours = shapes_of(layout.variant, **overrides)
    theirs = checkpoints.from_ours(ours, layout)
    assert {'decode_head.psp_modules.3.1.bn.running_var', 'decode_head.fpn_bottleneck.conv.weight',
            'decode_head.lateral_convs.2.conv.weight', 'decode_head.fpn_convs.0.bn.weight',
            'decode_head.bottleneck.conv.weight', 'backbone.stages.3.0.encoder.2.1.gamma',
            'decode_head.conv_seg.bias'} <= set(theirs)
    assert ('auxiliary_head.convs.0.conv.weight' in theirs) == ('aux_head' not in overrides)
    assert checkpoints.detect(theirs) == layout
    back = checkpoints.to_ours(theirs, layout)
    assert {k: v.shape for k, v in back.items()} == {k: v.shape for k, v in ours.items()}
    assert 'stages.2.layers.2.blocks.1.dilated.0.weight' in backbone_state(theirs)

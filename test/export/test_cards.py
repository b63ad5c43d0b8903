"""Cards of registry entries: what they say follows from the entry and from the model itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip('torch', reason='the models need torch')

from dense_perception.export.cards import card_for, sized  # noqa: E402
from dense_perception.inference.card import CardError, ModelCard  # noqa: E402
from dense_perception.inference.class_sets import class_set  # noqa: E402
from dense_perception.models import create_model, list_models  # noqa: E402
from dense_perception.models.inputs import HALF_MEAN, InputSpec  # noqa: E402
from dense_perception.models.registry import _ENTRIES, DENSE_TASKS, register_model  # noqa: E402

PAIR = 'xnet_convnext_tiny_convnext_tiny'


@pytest.fixture
def upright() -> Iterator[str]:
    """A variant that keeps the aspect ratio and gives inverse depth."""
    spec = InputSpec(384, 384, 32, 'minimal', 'cubic', HALF_MEAN, HALF_MEAN)

    def upright_depth(**overrides: Any) -> torch.nn.Module:
        return create_model('xnet_small', num_classes=0, mount_channels=0, depth='exp',
                            **overrides)

    register_model('test', ('depth',), spec, 'a test', 'MIT', 'inverse_affine')(upright_depth)
    yield 'upright_depth'
    del _ENTRIES['upright_depth']


@pytest.mark.parametrize('name', list_models(tasks=DENSE_TASKS))
def test_every_variant_has_a_card(name: str):
    card = card_for(name)
    assert (card.name, card.variant) == (name, name)
    assert ModelCard.from_json(card.to_json()) == card
    assert ('depth' in card.outputs) == ('depth' in card.tasks)


def test_a_metric_variant():
    card = card_for(PAIR)
    assert (card.tasks, card.outputs) == (('depth',), ('depth',))
    assert card.depth_convention == 'metric' and card.depth_range == (1e-3, 10.0)
    assert card.classes == () and card.mount == 'none'


def test_options_change_what_the_card_says():
    card = card_for(PAIR, {'num_classes': 150, 'max_depth': 80.0})
    assert card.tasks == ('depth', 'segmentation')
    assert card.outputs == ('depth', 'labels', 'confidence')
    assert card.classes == class_set('ade20k') and card.depth_range == (1e-3, 80.0)
    assert card.options == {'num_classes': 150, 'max_depth': 80.0}
    masks = card_for(PAIR, {'num_classes': 19, 'depth': None})
    assert masks.tasks == ('segmentation',) and masks.depth_convention is None
    assert masks.classes == class_set('cityscapes') and masks.depth_range is None


def test_the_depth_head_tells_convention_and_range():
    kitti = card_for('dpt_hybrid_kitti')  # at most 1 / 0.00579 = 172.7 m
    assert (kitti.depth_convention, kitti.depth_range) == ('metric', (1e-3, 173.0))
    assert card_for('dpt_hybrid').depth_convention == 'inverse_affine'
    assert card_for('dpt_hybrid').depth_range is None
    tuned = card_for('dpt_hybrid', {'depth': 'metric_inverse', 'scale': 1e-3, 'shift': 0.1})
    assert (tuned.depth_convention, tuned.depth_range) == ('metric', (1e-3, 10.0))
    anything = card_for('depth_anything_v2_metric_outdoor_small')
    assert (anything.depth_convention, anything.depth_range) == ('metric', (1e-3, 80.0))


def test_a_model_with_mount_channels_takes_the_mount():
    assert card_for('xnet_small').mount == 'optional'


def test_the_entry_s_preprocessing_is_the_card_s(upright: str):
    card = card_for(upright)
    assert (card.mean, card.std, card.interpolation) == (HALF_MEAN, HALF_MEAN, 'cubic')
    assert (card.resize, card.resize_target, card.size_multiple) == ('minimal', (384, 384), 32)
    assert card.depth_convention == 'inverse_affine' and card.depth_range is None
    assert card.licence == 'MIT'
    assert card_for(upright, mean=(0.0, 0.0, 0.0)).mean == (0.0, 0.0, 0.0)


def test_the_size_for_a_camera_follows_the_rule(upright: str):
    card = card_for(upright)
    assert sized(card) == card
    assert sized(card, image_size=(480, 640)).input_size == (384, 512)
    assert sized(card, size=(64, 96)).input_size == (64, 96)
    with pytest.raises(CardError, match='60x90 is not a multiple of 32'):
        sized(card, size=(60, 90))
    with pytest.raises(CardError, match='not both'):
        sized(card, (64, 96), (480, 640))
    with pytest.raises(CardError, match='stretches any image'):
        sized(card_for(PAIR), image_size=(480, 640))


def test_classes_and_options_that_do_not_fit_are_refused():
    with pytest.raises(CardError, match='tells 8 classes apart, but 19 are named'):
        card_for('xnet_small', classes=class_set('cityscapes'))
    with pytest.raises(ValueError, match='did you mean'):
        card_for('xnet_smal')


def test_a_model_without_a_value_for_every_pixel_has_no_card():
    with pytest.raises(CardError, match='"cednet_next_tiny" is for classification; a model file'):
        card_for('cednet_next_tiny')

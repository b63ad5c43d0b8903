"""Hugging Face's preprocessor and class names as fields of a card."""

from __future__ import annotations

import pytest

pytest.importorskip('torch', reason='the models need torch')

from dense_perception.export.preprocessing import card_fields, classes_of
from dense_perception.inference.class_sets import class_set
from dense_perception.models.checkpoints import CheckpointError
from dense_perception.models.inputs import InputSpec

SPEC = InputSpec(384, 384, 32, 'minimal', 'cubic')


def test_nothing_said_changes_nothing():
    assert card_fields({}, SPEC) == {}


def test_a_processor_that_keeps_the_aspect_ratio():
    # As Depth Anything V2 has it on the hub.
    assert card_fields({
        'do_normalize': True, 'image_mean': [0.485, 0.456, 0.406],
        'image_std': [0.229, 0.224, 0.225], 'keep_aspect_ratio': True, 'ensure_multiple_of': 14,
        'resample': 3, 'size': {'height': 518, 'width': 518}}, InputSpec(518, 518, 14)) == {
            'mean': (0.485, 0.456, 0.406), 'std': (0.229, 0.224, 0.225),
            'interpolation': 'cubic', 'input_height': 518, 'input_width': 518,
            'size_multiple': 14, 'resize': 'minimal', 'resize_target': (518, 518)}


@pytest.mark.parametrize('size', [384, {'height': 384, 'width': 384}, {'shortest_edge': 384}])
def test_a_processor_that_stretches(size):
    fields = card_fields({'size': size, 'keep_aspect_ratio': False, 'ensure_multiple_of': 1,
                          'resample': 2}, SPEC)
    assert fields == {'interpolation': 'linear', 'input_height': 384, 'input_width': 384,
                      'size_multiple': 32, 'resize': 'stretch', 'resize_target': None}


def test_without_normalisation_mean_is_zero():
    assert card_fields({'do_normalize': False, 'image_mean': [0.5] * 3}, SPEC) == {
        'mean': (0.0, 0.0, 0.0), 'std': (1.0, 1.0, 1.0)}


@pytest.mark.parametrize('wrong', [{'size': {'width': 3}}, {'size': 'large'},
                                   {'image_mean': 0.5}, {'image_std': ['x']}])
def test_fields_of_the_wrong_kind_are_refused(wrong: dict):
    with pytest.raises(CheckpointError, match='preprocessor_config.json has a field'):
        card_fields(wrong, SPEC)


def test_class_names_come_from_the_file_and_colours_from_the_set():
    names = {str(i): f'thing {i}' for i in range(150)}
    classes = classes_of({'id2label': names}, 150)
    assert [c.name for c in classes][:2] == ['thing 0', 'thing 1']
    assert classes[2].colour == class_set('ade20k')[2].colour
    own = classes_of({'id2label': {'0': 'floor', '1': 'rest'}}, 2)
    assert [c.name for c in own] == ['floor', 'rest'] and own[0].colour != own[1].colour


@pytest.mark.parametrize('config', [{}, {'id2label': {'0': 'LABEL_0', '1': 'LABEL_1'}},
                                    {'id2label': {str(i): f'LABEL_{i}' for i in range(150)}}])
def test_without_names_the_public_set_s_are_taken(config: dict):
    assert classes_of(config, 150) == class_set('ade20k')

"""The model card: a round trip, and a sentence for each thing that can be wrong with it."""

from __future__ import annotations

import json

import pytest
from helpers.plane_model import plane_card

from dense_perception.inference.card import SCHEMA_VERSION, CardError, ClassInfo, ModelCard


def test_a_card_survives_json():
    card = plane_card(depth_range=(0.1, 80.0), metrics={'depth': {'abs_rel': 0.2}})
    again = ModelCard.from_json(card.to_json())
    assert again == card
    assert again.input_size == (64, 80) and again.takes_mount


def edited(**changes: object) -> str:
    """Card text with some fields changed; None deletes the field."""
    raw = json.loads(plane_card().to_json()) | changes
    return json.dumps({key: value for key, value in raw.items() if value is not None})


@pytest.mark.parametrize(('text', 'reason'), [
    ('', 'not valid JSON'),
    ('{"name": ', 'not valid JSON'),
    ('[1, 2]', 'not a JSON object'),
    ('{}', 'schema version None'),
    (edited(schema_version=SCHEMA_VERSION + 1), f'schema version {SCHEMA_VERSION + 1}.*export'),
    (edited(outputs=None), r"missing fields \['outputs'\]"),
    (edited(focal=3.0), r"unknown fields \['focal'\]"),
    (edited(input_height='64'), 'field of the wrong type'),
    (edited(classes=[{'id': 1}]), 'field of the wrong type'),
    (edited(classes=3), 'field of the wrong type'),
    (edited(tasks=1), 'field of the wrong type')])
def test_unusable_text_is_refused(text: str, reason: str):
    with pytest.raises(CardError, match=reason):
        ModelCard.from_json(text)


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'name': ''}, 'must not be empty'),
    ({'input_height': 0}, 'not positive'),
    ({'size_multiple': 32}, '64x80 is not a multiple of 32'),
    ({'resize': 'letterbox'}, 'resize rule "letterbox" is unknown'),
    ({'colour_order': 'bgr'}, 'colour order "bgr"'),
    ({'mount': 'always'}, 'mount "always" is unknown'),
    ({'outputs': ()}, 'must be chosen from'),
    ({'outputs': ('depth', 'flow')}, 'must be chosen from'),
    ({'depth_convention': None}, 'depth_convention "None" is unknown'),
    ({'depth_range': (5.0, 1.0)}, 'near < far'),
    ({'classes': ()}, 'needs classes'),
    ({'classes': (ClassInfo(1, 'a', (0, 0, 0)), ClassInfo(1, 'b', (0, 0, 0)))}, 'distinct ids'),
    ({'classes': (ClassInfo(255, 'a', (0, 0, 0)),)}, 'ids 0..254')])
def test_impossible_values_are_refused_with_the_model_named(changes: dict, reason: str):
    with pytest.raises(CardError, match=f'model card of .*{reason}'):
        plane_card(**changes)


def test_a_canonical_focal_length_that_nobody_applies_is_refused():
    with pytest.raises(CardError, match='canonical_focal'):
        plane_card(canonical_focal=500.0)

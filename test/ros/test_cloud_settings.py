"""Values that cannot be, and which classes are ground."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.plane_model import plane_card

from dense_perception.geometry.ground import GROUND, OBSTACLE
from dense_perception.inference import card as names
from dense_perception.ros.cloud_settings import (
    PARAMETERS,
    CloudSettings,
    contradiction,
    ground_split,
    unsuited,
)

DEFAULTS = {d.name: d.default for d in PARAMETERS}


def test_the_defaults_of_parameters_and_settings_are_the_same():
    assert CloudSettings.of(DEFAULTS) == CloudSettings()
    assert contradiction(DEFAULTS) is None
    assert unsuited(plane_card(), DEFAULTS) is None


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'cloud.min_range': 5.0, 'cloud.max_range': 5.0}, 'cloud.min_range is 5.0.*max_range must'),
    ({'cloud.min_range': 6.0, 'cloud.max_range': 5.0}, 'no depth is within'),
    ({'cloud.min_range': 6.0}, None),
    ({'cloud.max_range': 6.0}, None),
    ({'obstacles.min_height': 0.5, 'obstacles.max_height': 0.5}, 'nothing is in between'),
    ({'obstacles.min_height': 2.5}, 'obstacles.min_height is 2.5')])
def test_contradictions_have_reasons(changes: dict, reason: str | None):
    problem = contradiction(DEFAULTS | changes)
    if reason is None:
        assert problem is None
    else:
        import re
        assert re.search(reason, problem)


def test_a_model_without_confidence_cannot_be_asked_for_it():
    card = plane_card(outputs=(names.OUTPUT_DEPTH,), name='blind')
    problem = unsuited(card, DEFAULTS | {'cloud.min_confidence': 0.3})
    assert 'model blind has no confidence' in problem
    assert unsuited(card, DEFAULTS) is None


def test_classes_go_by_their_first_name_whatever_the_case():
    classes = [names.ClassInfo(i, name, (0, 0, 0)) for i, name in enumerate((
        'Road, route', 'sidewalk', 'Sky', 'wall', 'floor lamp', 'ceiling'))]
    split = ground_split(plane_card(classes=tuple(classes)), ('road', 'sidewalk'),
                         ('sky', 'CEILING'))
    assert split.knows_classes
    labels = np.arange(7, dtype=np.uint8)[None]
    keep, depth = np.full((1, 7), 255, np.uint8), np.ones((1, 7), np.float32)
    kinds = split.split(depth, keep, None, labels, None, None)
    assert kinds.tolist() == [[GROUND, GROUND, 0, OBSTACLE, OBSTACLE, 0, 0]]


def test_a_model_without_a_ground_class_does_not_split_by_class():
    assert not ground_split(plane_card(), ('street',), ('sky',)).knows_classes

"""The class lists of public data sets, and names for what has none."""

from __future__ import annotations

import pytest

from dense_perception.inference.class_sets import (
    class_set,
    classes_for,
    list_class_sets,
    numbered_classes,
)


@pytest.mark.parametrize(('name', 'count', 'known'), [
    ('ade20k', 150, {0: ('wall', (120, 120, 120)), 2: ('sky', (6, 230, 230)),
                     12: ('person', (150, 5, 61)), 149: ('flag', (92, 0, 255))}),
    ('cityscapes', 19, {0: ('road', (128, 64, 128)), 11: ('person', (220, 20, 60)),
                        18: ('bicycle', (119, 11, 32))}),
    ('nyu40', 40, {0: ('wall', (242, 61, 61))})])
def test_sets_are_complete_and_in_order(name: str, count: int, known: dict):
    classes = class_set(name)
    assert [c.id for c in classes] == list(range(count))
    assert len({c.name for c in classes}) == count
    for index, (word, colour) in known.items():
        assert (classes[index].name, classes[index].colour) == (word, colour)


def test_an_unknown_set_names_the_known_ones():
    assert list_class_sets() == ['ade20k', 'cityscapes', 'nyu40']
    with pytest.raises(ValueError, match='there are ade20k, cityscapes, nyu40'):
        class_set('../models/xnet_small')


def test_a_count_finds_its_set_or_numbers():
    assert classes_for(19) == class_set('cityscapes')
    assert [c.name for c in classes_for(3)] == ['class 0', 'class 1', 'class 2']
    colours = {c.colour for c in numbered_classes([str(i) for i in range(40)])}
    assert len(colours) == 40

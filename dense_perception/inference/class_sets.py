"""Names and display colours of the classes of public data sets."""

from __future__ import annotations

import colorsys
import csv
from pathlib import Path

from dense_perception.inference.card import ClassInfo

CLASS_SETS = Path(__file__).resolve().parent.parent / 'assets' / 'classes'
_GOLDEN = 0.618034  # turns by which neighbouring ids differ in hue


def list_class_sets() -> list[str]:
    """Names of the class sets that come with the package."""
    return sorted(path.stem for path in CLASS_SETS.glob('*.csv'))


def class_set(name: str) -> tuple[ClassInfo, ...]:
    """The classes of a data set in the order of their training ids.

    ``ade20k``: the 150 of the scene parsing benchmark; ``cityscapes``: the 19 of its evaluation;
    ``nyu40``: the 40 of NYU Depth V2 (Gupta et al. 2013) and Hypersim.

    :raises ValueError: there is no such set; the message lists them.
    """
    path = CLASS_SETS / f'{name}.csv'
    if name not in list_class_sets():
        raise ValueError(f'no class set "{name}"; there are {", ".join(list_class_sets())}')
    with path.open(newline='', encoding='utf-8') as lines:
        return tuple(
            ClassInfo(int(row['id']), row['name'],
                      (int(row['red']), int(row['green']), int(row['blue'])))
            for row in csv.DictReader(lines))


def numbered_classes(names: list[str]) -> tuple[ClassInfo, ...]:
    """Classes with these names, ids from 0, and colours that tell neighbours apart."""
    return tuple(ClassInfo(index, name, _colour(index)) for index, name in enumerate(names))


def classes_for(count: int) -> tuple[ClassInfo, ...]:
    """The classes that a model with this many most likely knows: a public set, else numbers."""
    for name in list_class_sets():
        if len(found := class_set(name)) == count:
            return found
    return numbered_classes([f'class {index}' for index in range(count)])


def _colour(index: int) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(index * _GOLDEN % 1, 0.75, 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)

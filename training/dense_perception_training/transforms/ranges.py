"""Ranges of random values in the options of transforms."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from dense_perception_training.transforms.base import TransformError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Range = tuple[float, float]


def require_ranges(transform: str, options: DataclassInstance, **least: float) -> None:
    """The named fields of ``options`` are (smallest, largest), the smallest at least as given.

    :param transform: its name in a recipe, for the message.
    :raises TransformError: one of them is not.
    """
    defaults = {field.name: field.default for field in fields(options)}
    for name, bound in least.items():
        values = getattr(options, name)
        if np.shape(values) != (2,) or not bound <= values[0] <= values[1]:
            raise TransformError(f'{transform}: {name} is {values}; write the smallest (at least '
                                 f'{bound:g}) and the largest, such as {list(defaults[name])}')


def log_uniform(values: Range, rng: np.random.Generator) -> float:
    """A random value of a range above 0, small ones as often as large ones."""
    return float(np.exp(rng.uniform(*np.log(values))))

"""What a transform is, how a recipe names it, and how several follow each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from dense_perception.inference.card import UNLABELLED
from dense_perception_training.named import Named
from dense_perception_training.sample import Sample


class Transform(Protocol):
    """Callable with a sample and a random generator; gives another sample.

    All randomness comes from the generator, so that the result follows from the sample and the
    generator's seed alone. Arrays of the given sample are not changed.
    """

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The transformed sample."""


class TransformError(ValueError):
    """A transform that does not exist, has no such option, or cannot work on this sample."""


_NAMED = Named('transform', TransformError)
TRANSFORMS, register_transform = _NAMED.classes, _NAMED.register

UNKNOWN: dict[str, float] = {'image': 0, 'alpha': np.nan, 'depth': np.nan, 'labels': UNLABELLED,
                             'normals': np.nan}
"""What stands where a map has no value."""


def make_transform(name: str, **options: Any) -> Transform:
    """A transform by its name in a recipe.

    :raises TransformError: there is no such transform or option, and the message says which there
        are, or an option is a number that cannot be meant.
    """
    transform = _NAMED.make(name, **options)
    share, strength = getattr(transform, 'share', 0), getattr(transform, 'strength', 0)
    if not (isinstance(share, (int, float)) and 0 <= share <= 1):
        raise TransformError(f'{name}: share is {share}; write the share of the samples, 0 to 1')
    if np.min(strength) < 0:
        raise TransformError(f'{name}: strength is {strength}; 0 is the least')
    return transform


@dataclass(frozen=True)
class Chain:
    """Transforms one after the other.

    >>> chain = Chain.from_config([{'transform': 'flip'}, {'transform': 'random_crop',
    ...                                                    'height': 416, 'width': 544}])
    """

    transforms: tuple[Transform, ...] = ()

    @classmethod
    def from_config(cls, config: Sequence[Mapping[str, Any]]) -> Chain:
        """From a recipe's list of ``{transform: NAME, <options>}``.

        :raises TransformError: a transform or option that does not exist.
        """
        for entry in config:
            if 'transform' not in entry:
                raise TransformError(f'{dict(entry)} names no transform; write "transform: flip", '
                                     'for example')
        return cls(tuple(make_transform(str(entry['transform']),
                                        **{k: v for k, v in entry.items() if k != 'transform'})
                         for entry in config))

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """See :class:`Transform`."""
        for transform in self.transforms:
            sample = transform(sample, rng)
        return sample


def generator(*key: int) -> np.random.Generator:
    """A random generator that follows from ``key`` alone, such as (seed, epoch, index).

    Different keys give different streams; NumPy by itself takes (1, 2) and (1, 2, 0) for the same.
    """
    return np.random.default_rng((len(key), *key))


def map_arrays(sample: Sample, picture: Callable[[np.ndarray, float], np.ndarray],
               truth: Callable[[np.ndarray, float], np.ndarray], **changes: Any) -> Sample:
    """Move all maps of a sample at once.

    :param picture: for image and alpha, which may be interpolated: array and what stands for
        unknown -> array. :param truth: for depth, labels and normals, which must not.
    :param changes: other fields of the sample, such as ``intrinsics``.
    """
    maps = {}
    for name, unknown in UNKNOWN.items():
        array = getattr(sample, name)
        if array is not None:
            move = picture if name in ('image', 'alpha') else truth
            maps[name] = np.ascontiguousarray(move(array, unknown))
    return replace(sample, **maps, **changes)

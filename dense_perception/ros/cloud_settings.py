"""Parameters of the clouds: which points they hold, and what is ground and what an obstacle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dense_perception.geometry.ground import GroundSplit, HeightLimits
from dense_perception.inference import card as names
from dense_perception.ros.parameters import Declaration

FLYING_PIXELS = KEEP, FROM_CLOUDS, REMOVE = 'keep', 'remove_from_clouds', 'remove'

GROUND_CLASSES = ('ground', 'floor', 'floor mat', 'rug', 'carpet', 'road', 'sidewalk', 'pavement',
                  'path', 'terrain', 'grass', 'earth', 'dirt', 'gravel', 'sand')
IGNORED_CLASSES = ('sky', 'ceiling')

PARAMETERS = (
    Declaration('flying_pixels', FROM_CLOUDS, 'Whether pixels on a smear between two surfaces '
                'keep their metric depth, lose it in the clouds, or in the depth images too.',
                choices=FLYING_PIXELS, dynamic=True),
    Declaration('cloud.min_range', 0.0, 'Depth in metres below which the clouds have no point.',
                minimum=0.0, maximum=1e6, dynamic=True),
    Declaration('cloud.max_range', 0.0, 'Depth in metres beyond which the clouds have no point; '
                '0 = no limit.', minimum=0.0, maximum=1e6, dynamic=True),
    Declaration('cloud.min_confidence', 0.0, 'Confidence (0 .. 1) below which the clouds have no '
                'point; above 0 only for models with confidence.', minimum=0.0, maximum=1.0,
                dynamic=True),
    Declaration('cloud.stride', 1, 'The clouds take every n-th row and column of the depth image; '
                'the semantic layer of Nav2 needs 1.', minimum=1, maximum=64, dynamic=True),
    Declaration('obstacles.min_height', 0.1, 'Height above the ground in metres: obstacles begin '
                'here, and the ground ends here and as far below.', minimum=0.0, maximum=100.0,
                dynamic=True),
    Declaration('obstacles.max_height', 2.0, 'Height above the ground in metres up to which '
                'something is an obstacle.', minimum=0.0, maximum=100.0, dynamic=True),
    Declaration('obstacles.ground_classes', list(GROUND_CLASSES), 'Names of classes that are '
                'ground, where the model has them.', dynamic=True),
    Declaration('obstacles.ignored_classes', list(IGNORED_CLASSES), 'Names of classes that are '
                'neither ground nor obstacle.', dynamic=True))


class Values(Protocol):
    """Parameter values by name, now."""

    def __getitem__(self, name: str) -> Any: ...


@dataclass(frozen=True)
class CloudSettings:
    """The values of one moment.

    ``min_confidence``: 0 .. 255, as the masks have it. ``ground``, ``ignored``: names of classes.
    The rest as the parameters.
    """

    flying_pixels: str = FROM_CLOUDS
    min_range: float = 0.0
    max_range: float = 0.0
    min_confidence: int = 0
    stride: int = 1
    heights: HeightLimits = HeightLimits()
    ground: tuple[str, ...] = GROUND_CLASSES
    ignored: tuple[str, ...] = IGNORED_CLASSES

    @classmethod
    def of(cls, values: Values) -> CloudSettings:
        """The settings that the parameters have now."""
        return cls(
            flying_pixels=values['flying_pixels'],
            min_range=values['cloud.min_range'], max_range=values['cloud.max_range'],
            min_confidence=round(255 * values['cloud.min_confidence']),
            stride=values['cloud.stride'],
            heights=HeightLimits(values['obstacles.min_height'], values['obstacles.max_height']),
            ground=tuple(values['obstacles.ground_classes']),
            ignored=tuple(values['obstacles.ignored_classes']))


def contradiction(values: Values) -> str | None:
    """Why these values cannot hold together; None if they can."""
    near, far = values['cloud.min_range'], values['cloud.max_range']
    if 0 < far <= near:
        return (f'cloud.min_range is {near} and cloud.max_range {far}: no depth is within; '
                'max_range must be larger, or 0 for no limit')
    low, high = values['obstacles.min_height'], values['obstacles.max_height']
    if high <= low:
        return (f'obstacles.min_height is {low} and obstacles.max_height {high}: nothing is in '
                'between; max_height must be larger')
    return None


def unsuited(card: names.ModelCard, values: Values) -> str | None:
    """Why a model cannot do what these values ask; None if it can."""
    if values['cloud.min_confidence'] > 0 and names.OUTPUT_CONFIDENCE not in card.outputs:
        return (f'cloud.min_confidence is {values["cloud.min_confidence"]}, but model '
                f'{card.name} has no confidence: it must be 0')
    return None


def ground_split(card: names.ModelCard, ground: Sequence[str],
                 ignored: Sequence[str]) -> GroundSplit:
    """The split by the classes of a model."""
    ground_ids, ignored_ids = class_ids(card, ground), class_ids(card, ignored)
    return GroundSplit(ground=ground_ids, ignored=ignored_ids - ground_ids,
                       obstacles={c.id for c in card.classes} - ground_ids - ignored_ids)


def class_ids(card: names.ModelCard, wanted: Sequence[str]) -> set[int]:
    """Ids of a model's classes of these names.

    A class goes by its name up to the first comma ("road, route" is a road), whatever the case.
    """
    wanted = [name.lower() for name in wanted]
    return {c.id for c in card.classes if c.name.split(',')[0].strip().lower() in wanted}

"""What Hugging Face's JSON files say of preprocessing and classes, as fields of a model card."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from dense_perception.inference.card import ClassInfo
from dense_perception.inference.class_sets import classes_for, numbered_classes
from dense_perception.models.checkpoints import CheckpointError
from dense_perception.models.inputs import InputSpec

_INTERPOLATIONS = {2: 'linear', 3: 'cubic'}  # Pillow's numbers


def card_fields(preprocessor: Mapping[str, Any], spec: InputSpec) -> dict[str, Any]:
    """Fields of the card that ``preprocessor_config.json`` decides; none from an empty one.

    With ``keep_aspect_ratio`` their processors resize "as little as possible", which is the rule
    ``minimal``; without they stretch. Both sides stay multiples of what the network needs.

    :param spec: of the registered model, for what the file leaves open.
    :raises CheckpointError: a field that makes no sense.
    """
    fields: dict[str, Any] = {}
    try:
        if preprocessor.get('do_normalize', True):
            for theirs, ours in (('image_mean', 'mean'), ('image_std', 'std')):
                if theirs in preprocessor:
                    fields[ours] = tuple(float(value) for value in preprocessor[theirs])
        else:
            fields |= {'mean': (0.0, 0.0, 0.0), 'std': (1.0, 1.0, 1.0)}
        if preprocessor.get('resample') in _INTERPOLATIONS:
            fields['interpolation'] = _INTERPOLATIONS[preprocessor['resample']]
        if 'size' in preprocessor:
            fields |= _resizing(preprocessor, spec)
    except (TypeError, ValueError, KeyError) as error:
        raise CheckpointError(f'preprocessor_config.json has a field of the wrong kind: '
                              f'{error!r}') from None
    return fields


def classes_of(config: Mapping[str, Any], count: int) -> tuple[ClassInfo, ...]:
    """Classes with the names in ``config.json``, in the colours of the public set as large.

    Without names, or with Hugging Face's default ones (LABEL_0), those of that set.
    """
    names = config.get('id2label')
    likely = classes_for(count)
    if not isinstance(names, Mapping) or len(names) != count or 'LABEL_0' in names.values():
        return likely
    own = [str(names.get(str(index), f'class {index}')) for index in range(count)]
    palette = numbered_classes(own) if likely[0].name == 'class 0' else likely
    return tuple(ClassInfo(known.id, name, known.colour)
                 for known, name in zip(palette, own, strict=True))


def _resizing(preprocessor: Mapping[str, Any], spec: InputSpec) -> dict[str, Any]:
    multiple = math.lcm(spec.multiple, int(preprocessor.get('ensure_multiple_of') or 1))
    size = preprocessor['size']
    if isinstance(size, Mapping) and 'shortest_edge' in size:
        height = width = int(size['shortest_edge'])
    elif isinstance(size, Mapping):
        height, width = int(size['height']), int(size['width'])
    else:
        height = width = int(size)
    fields = {'input_height': height, 'input_width': width, 'size_multiple': multiple}
    if preprocessor.get('keep_aspect_ratio'):
        return fields | {'resize': 'minimal', 'resize_target': (height, width)}
    return fields | {'resize': 'stretch', 'resize_target': None}

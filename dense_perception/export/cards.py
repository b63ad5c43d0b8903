"""The card of a registered model, before anything is known of its weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from dense_perception.inference import card as names
from dense_perception.inference.card import CardError, ClassInfo, ModelCard
from dense_perception.inference.class_sets import classes_for
from dense_perception.inference.resize import network_size
from dense_perception.models import model_entry
from dense_perception.models.complexity import complexity, input_channels, meta_model
from dense_perception.models.inputs import InputSpec

NEAREST = 1e-3
"""Metres; the least depth of the NYU Depth V2 and KITTI benchmarks."""

_CONVENTIONS = {'sigmoid': 'metric', 'log_height': 'metric',
                'metric_inverse': 'metric', 'inverse': 'inverse_affine'}

# Output of a network -> what the graph makes of it, and the task that it is.
_OUTPUTS = {'depth': ((names.OUTPUT_DEPTH,), 'depth'),
            'logits': ((names.OUTPUT_LABELS, names.OUTPUT_CONFIDENCE), 'segmentation'),
            'normals': ((names.OUTPUT_NORMALS,), 'normals'),
            'alpha': ((names.OUTPUT_ALPHA,), 'matting')}


def card_for(variant: str, options: Mapping[str, Any] | None = None,
             classes: tuple[ClassInfo, ...] = (), **fields: Any) -> ModelCard:
    """The card of a registered model as its registry entry and its outputs describe it.

    >>> card_for('xnet_convnext_tiny_convnext_tiny', {'num_classes': 150}).outputs
    ('depth', 'labels', 'confidence')

    :param options: overrides of its configuration, as ``create_model`` takes them.
    :param classes: what its labels mean; default: the public set of as many classes, else numbers.
    :param fields: further fields of the card; they replace what the entry says.
    :raises ValueError: the variant or an option is unknown.
    :raises CardError: the fields do not fit, or the model gives nothing for every pixel.
    """
    entry = model_entry(variant)
    options = dict(options or {})
    model = meta_model(variant, **options)
    outputs = complexity(model, entry.input.height, entry.input.width).outputs
    known = {name: value for name, value in _OUTPUTS.items() if name in outputs}
    if not known:
        raise CardError(f'model "{variant}" is for {" and ".join(entry.tasks)}; a model file and '
                        f'its card hold {", ".join(task for _, task in _OUTPUTS.values())}')
    if 'logits' in outputs:
        classes = classes or classes_for(outputs['logits'][1])
        if len(classes) != outputs['logits'][1]:
            raise CardError(f'model "{variant}" tells {outputs["logits"][1]} classes apart, but '
                            f'{len(classes)} are named')
    return ModelCard(**{
        'name': variant, 'system': entry.system, 'variant': variant, 'options': options,
        'tasks': tuple(task for _, task in known.values()),
        'outputs': tuple(name for group, _ in known.values() for name in group),
        'classes': classes if 'logits' in outputs else (),
        'mount': 'optional' if input_channels(model) > 3 else 'none', 'licence': entry.licence,
        **(_depth_fields(model, entry.depth_convention) if 'depth' in outputs else {}),
        **_input_fields(entry.input), **fields})


def sized(card: ModelCard, size: tuple[int, int] | None = None,
          image_size: tuple[int, int] | None = None) -> ModelCard:
    """The card at another input size.

    :param size: (height, width) of the network.
    :param image_size: (height, width) of a camera's images; the network's follows by the rule.
    :raises CardError: the size is no multiple of what the model needs, both are given, or the
        model's rule is ``stretch`` and does not depend on the image.
    """
    if size is not None and image_size is not None:
        raise CardError('give the size of the network or that of the images, not both')
    if image_size is not None:
        if card.resize == 'stretch':
            raise CardError(f'model "{card.name}" stretches any image to its own size, so an '
                            'image size chooses nothing; give the size of the network')
        size = network_size(image_size, card)
    return card if size is None else replace(card, input_height=size[0], input_width=size[1])


def _input_fields(spec: InputSpec) -> dict[str, Any]:
    target = None if spec.resize == 'stretch' else (spec.height, spec.width)
    return {'input_height': spec.height, 'input_width': spec.width, 'resize_target': target,
            'size_multiple': spec.multiple, 'resize': spec.resize,
            'interpolation': spec.interpolation, 'mean': spec.mean, 'std': spec.std,
            'brightness': spec.brightness}


def _depth_fields(model: nn.Module, usual: str | None) -> dict[str, Any]:
    """Convention and range of the depth, as far as the head's activation tells them.

    :param usual: the registered convention, for a head that does not tell.
    """
    config = getattr(model, 'config', None)
    kind = getattr(config, 'depth', None)
    farthest = None
    if kind == 'sigmoid':
        farthest = config.max_depth
    elif kind == 'metric_inverse' and config.shift > 0:
        farthest = float(math.ceil(1 / config.shift))
    return {'depth_convention': _CONVENTIONS.get(kind, usual),
            'depth_range': farthest and (NEAREST, farthest)}

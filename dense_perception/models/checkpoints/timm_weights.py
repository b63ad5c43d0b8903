"""Weights of timm's classification models, into the encoder or decoder of one of ours.

What ``pretrained`` does with timm's own files, for any file, and with a report.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any

import timm
from timm.models import load_pretrained
from torch import nn

from dense_perception.models.checkpoints.keys import CheckpointError, State
from dense_perception.models.checkpoints.loading import Report, load_converted
from dense_perception.models.layers.stem import RGB, widen_stem

PARTS = ('encoder', 'decoder')


def load_timm(model: nn.Module, part: str, state: State | None) -> Report:
    """Load timm's weights of an encoder or decoder; position tables follow its image size.

    :param model: one whose configuration names timm models, as xNet's does.
    :param part: one of :data:`PARTS`.
    :param state: in timm's keys; None = timm's own published weights, from its cache or the hub.
    :returns: keys that the part needs and ``state`` lacks, and keys of ``state`` without use
        (the classifier is not counted).
    :raises CheckpointError: the model has no such part, the weights do not fit it, or timm cannot
        get its own; nothing is loaded then.
    """
    config = getattr(model, 'config', None)
    name, target = getattr(config, part, None), getattr(model, part, None)
    if not isinstance(name, str) or target is None:
        raise CheckpointError(f'this model has no {part} that timm knows')
    full = _timm_model(name, state, model, part)
    target = getattr(target, 'body', target)
    values = full.state_dict()
    # timm's features_only models flatten the first level: "stages_0.x" is "stages.0.x".
    # Others wrap the whole model: "model.blocks.x".
    own = {key: re.sub(r'^([a-z_]+)_(\d+)\.', r'\1.\2.', key.removeprefix('model.'))
           for key in target.state_dict()}
    load_converted(target, {key: values[theirs] for key, theirs in own.items()})
    if state is None:
        return Report((), ())
    classifier = full.pretrained_cfg.get('classifier') or ()
    heads = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    return Report(tuple(sorted(set(own.values()) - state.keys())),
                  tuple(key for key in state if key not in values
                        and not key.startswith(tuple(f'{head}.' for head in heads))))


def _timm_model(name: str, state: State | None, model: nn.Module, part: str) -> nn.Module:
    """The classification model with the weights in it, as wide and at the size as in ``model``."""
    config: Any = model.config
    options: Mapping[str, Any] = getattr(config, f'{part}_options', {})
    sizes = {}
    pretrained = timm.get_pretrained_cfg(name, allow_unregistered=True)
    if part == 'encoder' and pretrained and pretrained.fixed_input_size:
        sizes['img_size'] = config.image_size
    try:
        full = timm.create_model(name, pretrained=state is None, num_classes=0, **sizes,
                                 **options)
        if state is not None:
            # What timm does for its own files, but not strict: missing keys are reported.
            logging.getLogger('timm.models._builder').setLevel(logging.ERROR)
            module = sys.modules[type(full).__module__]
            load_pretrained(full, {**full.pretrained_cfg, 'state_dict': dict(state)}, 0,
                            RGB, getattr(module, 'checkpoint_filter_fn', None), False)
        if model.in_chans > RGB:
            widen_stem(full, name, model.in_chans)
    except (OSError, RuntimeError, ValueError, KeyError, AttributeError) as error:
        reason = ' '.join(str(error).split())[:400]
        raise CheckpointError(f'the weights are not those of timm\'s "{name}": {reason}'
                              if state is not None else
                              f'timm cannot get its weights of "{name}": {reason}') from None
    return full

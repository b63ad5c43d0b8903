"""Recognises public CEDNet checkpoints, and finds a backbone in any of them.

Weights were never published; the layout is that of the published code. Its classifier keeps its
state under ``model``, as ConvNeXt's does; networks of mmsegmentation and mmdetection keep theirs
under ``state_dict`` and have the backbone under ``backbone.``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from dense_perception.models.cednet import ARCHITECTURES, CLASSIFIERS, CONFIGS, BackboneConfig
from dense_perception.models.checkpoints.cednet_keys import (
    CLASSIFIER,
    MM_BACKBONE,
    UPERNET,
    backbone_table,
    key_table,
)
from dense_perception.models.checkpoints.keys import CheckpointError, KeyTable, State
from dense_perception.models.checkpoints.layout import Layout

KINDS = (CLASSIFIER, UPERNET, MM_BACKBONE)

_SIGN = 'stages.1.0.encoder.2.0.dwconv2.0.weight'
_MM = 'backbone.'
_UPERNET_SIGN = 'decode_head.psp_modules.0.1.conv.weight'
_MASKS = 'decode_head.conv_seg.weight'
_OURS = re.compile(r'(?:backbone|encoder\.body|backbone\.body)\.')


def table_of(layout: Layout) -> KeyTable:
    """The key table of a layout of this system."""
    return key_table(layout.kind)


def detect(state: State, config: Mapping[str, Any], name: str) -> Layout | None:
    """See the package; None if the keys are of another system."""
    prefix = next((prefix for prefix in ('', _MM) if prefix + _SIGN in state), None)
    if prefix is None:
        return None
    architecture = _architecture(state, prefix)
    if not prefix:
        heads = sorted(key for key in state if re.fullmatch(r'heads\.\d+\.weight', key))
        if not heads:
            raise CheckpointError(f'the checkpoint looks like {CLASSIFIER}, but has no heads')
        return _layout(CLASSIFIER, architecture, CLASSIFIERS[architecture], {
            'num_classes': state[heads[-1]].shape[0], 'deep_supervision': len(heads) > 1})
    if _UPERNET_SIGN in state and _MASKS in state:
        variant = f'{architecture}_upernet_ade20k'
        return _layout(UPERNET, variant, CONFIGS[variant], {
            'num_classes': state[_MASKS].shape[0],
            'aux_head': 'auxiliary_head.conv_seg.weight' in state})
    return Layout(MM_BACKBONE, architecture)


def _layout(kind: str, variant: str, registered: object, found: Mapping[str, Any]) -> Layout:
    return Layout(kind, variant, {key: value for key, value in found.items()
                                  if value != getattr(registered, key)})


def backbone_state(state: State) -> dict[str, torch.Tensor]:
    """The tensors of the backbone in any checkpoint that has one, in ``CEDNet``'s own names.

    :param state: published, or of one of our models (classifier, dense network, detector).
    :raises CheckpointError: there is no backbone in it.
    """
    prefix = next((prefix for prefix in ('', _MM) if prefix + _SIGN in state), None)
    if prefix is not None:
        state = backbone_table(prefix, '').to_ours(state)
        found = {key: value for key, value in state.items()
                 if re.match(r'(?:stem|blocks|down|stages)\.', key)}
    else:
        found = {_OURS.sub('', key, count=1): value for key, value in state.items()
                 if _OURS.match(key)}
    if 'stem.0.weight' not in found:
        raise CheckpointError('the checkpoint holds no CEDNet backbone')
    return found


def _architecture(state: State, prefix: str) -> str:
    """The registered backbone of these shapes."""
    table = backbone_table(prefix, '')
    keys = [key for key in table.to_ours(state) if key.startswith('stages.')]
    stages = 1 + max(int(key.split('.')[1]) for key in keys)

    def size(key: str) -> int:
        return state[f'{prefix}{key}'].shape[0]

    def count(pattern: str) -> int:
        return len({match[1] for key in state
                    if (match := re.match(re.escape(prefix) + pattern, key))})

    found = (size('stem.3.weight'),
             tuple(size(f'stages.1.0.encoder.{level}.0.gamma') for level in range(3)),
             (count(r'stages\.0\.(\d+)\.gamma'),
              *(count(rf'stages\.1\.0\.encoder\.{level}\.(\d+)\.') for level in range(3))), stages)
    public = {name: (c.stem_channels, c.channels, c.blocks, c.stages)
              for name, c in ARCHITECTURES.items() if _is_public(c)}
    name = next((name for name, sizes in public.items() if sizes == found), None)
    if name is None:
        sizes = '; '.join(f'{name} {known}' for name, known in public.items())
        raise CheckpointError(f'the backbone has channels, blocks and stages {found}; the public '
                              f'ones are {sizes}')
    return name


def _is_public(config: BackboneConfig) -> bool:
    """Key names are known of these only."""
    return config.mixer == 'next' and config.style == 'fpn'

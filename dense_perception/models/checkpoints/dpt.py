"""Recognises public DPT and Depth Anything V2 checkpoints."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from dense_perception.models.checkpoints.dpt_keys import (
    HF,
    HF_ANYTHING,
    HF_ANYTHING_MEMORY,
    ISL,
    OFFICIAL,
    Traits,
    key_table,
)
from dense_perception.models.checkpoints.keys import CheckpointError, KeyTable, State
from dense_perception.models.checkpoints.layout import Layout
from dense_perception.models.dpt import CONFIGS

KINDS = (ISL, HF, OFFICIAL, HF_ANYTHING, HF_ANYTHING_MEMORY)

# Keys that every checkpoint of a kind has, and none of another.
_SIGNS = {
    ISL: ('pretrained.model.cls_token', 'scratch.layer1_rn.weight'),
    HF: ('dpt.embeddings.cls_token', 'neck.convs.0.weight'),
    OFFICIAL: ('pretrained.cls_token', 'depth_head.scratch.layer1_rn.weight'),
    HF_ANYTHING: ('backbone.encoder.layer.0.attention.attention.query.weight',
                  'neck.convs.0.weight', 'head.conv1.weight'),
    HF_ANYTHING_MEMORY: ('backbone.encoder.layer.0.attention.q_proj.weight',
                         'neck.convs.0.weight', 'head.conv1.weight')}
_DPT = {(768, False): 'dpt_base', (1024, False): 'dpt_large', (768, True): 'dpt_hybrid'}
_ANYTHING = {384: 'small', 768: 'base', 1024: 'large', 1536: 'giant'}
_BLOCKS = {384: 12, 768: 12, 1024: 24, 1536: 40}
_PATCH = 'encoder.body.patch_embed.proj.weight'
_CLASSIFIER = 'segmentation_head.classifier.weight'


def table_of(layout: Layout) -> KeyTable:
    """The key table of a layout of this system."""
    config = replace(CONFIGS[layout.variant], **layout.overrides)
    return key_table(layout.kind, Traits(bool(config.stages), 'giant' in config.encoder,
                                         config.num_classes > 0))


def detect(state: State, config: Mapping[str, Any], name: str) -> Layout | None:
    """See the package; None if the keys are of another system."""
    kind = next((kind for kind, signs in _SIGNS.items() if all(s in state for s in signs)), None)
    if kind is None:
        return None
    traits = Traits(any('patch_embed.backbone.' in key or 'embeddings.backbone.' in key
                        for key in state),
                    any(re.search(r'\.mlp\.(w12|weights_in|gate_proj)\.', key) for key in state),
                    any(re.search(r'(output_conv|head\.head)\.1\.', key) for key in state))
    # On the meta device: only shapes are asked for.
    ours = key_table(kind, traits).to_ours(
        {key: torch.empty(tensor.shape, device='meta') for key, tensor in state.items()})
    try:
        if kind in (ISL, HF):
            variant, found = _dpt(ours, traits, config, name if kind == ISL else '')
        else:
            variant, found = _depth_anything(ours, config, name)
        found.update(_sizes(ours))
    except KeyError as error:
        raise CheckpointError(f'the checkpoint looks like {kind}, but what would be {error} here '
                              'is missing; it is incomplete') from None
    registered = CONFIGS[variant]
    return Layout(kind, variant, {field: value for field, value in found.items()
                                  if value != getattr(registered, field)})


def _dpt(ours: State, traits: Traits, config: Mapping[str, Any],
         name: str) -> tuple[str, dict[str, Any]]:
    dim = _known_width(ours, (768, 1024))
    variant = _DPT.get((dim, traits.hybrid))
    if variant is None:
        raise CheckpointError(f'a hybrid of width {dim} is none of the public ones; they have 768')
    found: dict[str, Any] = {}
    if traits.segmentation:
        variant = {'dpt_base': 'dpt_base'}.get(variant, f'{variant}_ade20k')
        found = {'depth': None, 'num_classes': ours[_CLASSIFIER].shape[0],
                 'aux_head': 'aux_head.classifier.weight' in ours}
    elif traits.hybrid:
        # The metric models differ from the relative one in two numbers that only the code has.
        place = next((place for place in ('nyu', 'kitti') if place in name.lower()), None)
        variant = f'{variant}_{place}' if place else variant
    if config.get('backbone_out_indices'):
        indices = tuple(config['backbone_out_indices'])
        found['taps'] = indices[2:] if traits.hybrid else indices
    if config.get('readout_type'):
        found['readout'] = config['readout_type']
    return variant, found


def _depth_anything(ours: State, config: Mapping[str, Any],
                    name: str) -> tuple[str, dict[str, Any]]:
    dim = _known_width(ours, tuple(_ANYTHING))
    variant, found = f'depth_anything_v2_{_ANYTHING[dim]}', {}
    backbone = config.get('backbone_config') or {}
    if 'out_indices' in backbone or 'out_features' in backbone:
        # Theirs count the embedding as 0; older files have names instead of numbers.
        indices = backbone.get('out_indices') or [
            int(stage.removeprefix('stage')) for stage in backbone['out_features']]
        found['taps'] = tuple(index - 1 for index in indices)
    hint = name.lower()
    if re.search(r'depth_anything_vit[sbl]14', hint):  # the first version read the last blocks
        found['taps'] = tuple(range(_BLOCKS[dim] - 4, _BLOCKS[dim]))
    metric = config.get('depth_estimation_type', 'metric' if 'metric' in hint else '') == 'metric'
    if metric:
        outdoor = any(word in hint for word in ('outdoor', 'kitti'))
        cap = float(config.get('max_depth', 80 if outdoor else 20))
        variant = variant.replace('v2_', f'v2_metric_{"outdoor" if cap > 20 else "indoor"}_')
        if variant not in CONFIGS:
            raise CheckpointError(f'there is no registered "{variant}"; metric Depth Anything V2 '
                                  'comes as small, base and large')
        found['max_depth'] = cap
    return variant, found


def _sizes(ours: State) -> dict[str, Any]:
    """Fields of the configuration that shapes tell."""
    positions = ours['encoder.body.pos_embed'].shape[1] - 1
    side = math.isqrt(positions)
    if side ** 2 != positions:
        raise CheckpointError(f'the position embeddings are {positions}, not of a square grid; '
                              'convert the checkpoint before it is folded for one size')
    patch = 16 if 'encoder.body.patch_embed.backbone.stem.conv.weight' in ours \
        else ours[_PATCH].shape[-1]
    sizes: dict[str, Any] = {
        'image_size': (side * patch, side * patch),
        'features': ours['reduce.0.weight'].shape[0],
        'channels': tuple(ours[f'reduce.{level}.weight'].shape[1] for level in range(4)),
        'batch_norm': 'fusion.0.residual1.norm1.weight' in ours}
    if 'reassemble.3.read.project.weight' in ours:
        sizes['readout'] = 'project'
    return sizes


def _known_width(ours: State, widths: tuple[int, ...]) -> int:
    """The encoder's width, if it is that of a public model, with its number of blocks."""
    width = ours['encoder.body.cls_token'].shape[-1]
    blocks = len({key.split('.')[3] for key in ours if key.startswith('encoder.body.blocks.')})
    if width not in widths or blocks != _BLOCKS[width]:
        sizes = ', '.join(f'{known} with {_BLOCKS[known]}' for known in widths)
        raise CheckpointError(f'the encoder is {width} wide with {blocks} blocks; the public '
                              f'models are {sizes}')
    return width

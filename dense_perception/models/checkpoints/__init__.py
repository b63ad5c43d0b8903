"""Public checkpoints: which they are, and their keys in our names and back.

>>> layout = detect(state, config, file.name)
>>> model = create_model(layout.variant, **layout.overrides)
>>> report = load_converted(model, to_ours(state, layout))

Nothing here reads files. Conversion changes no value: what is split or merged is bit-equal both
ways. Keys of theirs that have no meaning for us (the classifier of a pre-trained encoder, DINOv2's
mask token) are dropped, and written as zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from dense_perception.models.checkpoints import cednet, d3, dpt
from dense_perception.models.checkpoints.keys import CheckpointError, KeyTable, State
from dense_perception.models.checkpoints.layout import Layout
from dense_perception.models.checkpoints.loading import Report, load_converted, unwrap

_SYSTEMS = (dpt, cednet, d3)
KINDS = tuple(kind for system in _SYSTEMS for kind in system.KINDS)
"""What :func:`detect` recognises."""

__all__ = ['KINDS', 'CheckpointError', 'Layout', 'Report', 'detect', 'from_ours',
           'load_converted', 'to_ours', 'unwrap']


def detect(state: State, config: Mapping[str, Any] | None = None, name: str = '') -> Layout:
    """Which public layout a state dict has, and which registered model it belongs to.

    :param state: state dict as published (see :func:`unwrap`); only keys and shapes are read.
    :param config: Hugging Face's ``config.json``, if there is one; it tells what shapes do not,
        such as taps and the range of metric depth.
    :param name: file or repository name. Only it tells the relative from the metric models of
        isl-org (``nyu``, ``kitti``) and of the Depth Anything authors (``metric_hypersim``,
        ``metric_vkitti``), and D3-Predictor's tasks: their tensors have the same shapes.
    :raises CheckpointError: the layout is unknown, or the sizes are those of no public model.
    """
    found = (system.detect(state, config or {}, name) for system in _SYSTEMS)
    layout = next((layout for layout in found if layout is not None), None)
    if layout is None:
        examples = ', '.join(list(state)[:3]) or 'none at all'
        raise CheckpointError(f'the layout of this checkpoint is unknown (its keys: {examples}, '
                              f'...); recognised are {", ".join(KINDS)}')
    return layout


def to_ours(state: State, layout: Layout) -> dict[str, torch.Tensor]:
    """A state dict of a public layout in our names.

    Keys without a counterpart keep their name: :func:`load_converted` reports them.

    :raises CheckpointError: a part of one of our tensors is missing.
    """
    return _table_of(layout).to_ours(state)


def from_ours(state: State, layout: Layout) -> dict[str, torch.Tensor]:
    """Our state dict in a public layout, complete enough for its own code to load strictly.

    :raises CheckpointError: the layout has no place for one of our tensors.
    """
    return _table_of(layout).from_ours(state)


def _table_of(layout: Layout) -> KeyTable:
    system = next(system for system in _SYSTEMS if layout.kind in system.KINDS)
    return system.table_of(layout)

"""One place where models have names, and say what a person or a converter must know of them."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeVar

from torch import nn

from dense_perception.models.inputs import InputSpec

Builder = TypeVar('Builder', bound=Callable[..., nn.Module])

DENSE_TASKS = ('depth', 'segmentation', 'normals', 'matting')
"""Those that say something of every pixel, which is what model files hold."""

TASKS = (*DENSE_TASKS, 'classification', 'detection')


@dataclass(frozen=True)
class ModelEntry:
    """A registered model.

    ``tasks``: what it predicts as registered, from :data:`TASKS`. ``input``: its usual
    preprocessing and size. ``depth_convention``: of its depth, see ``inference.card``.
    ``paper``: the publication, and its table or row where the model is one. ``licence``: of the
    public weights of exactly this model; empty where there are none.
    """

    name: str
    system: str
    tasks: tuple[str, ...]
    input: InputSpec
    depth_convention: str | None
    paper: str
    licence: str
    build: Callable[..., nn.Module]


_ENTRIES: dict[str, ModelEntry] = {}


def register_model(system: str, tasks: tuple[str, ...], input: InputSpec, paper: str,
                   licence: str = '', depth_convention: str | None = None,
                   ) -> Callable[[Builder], Builder]:
    """Decorator: register a model; the function's name becomes the model's name.

    The function takes fields of the system's configuration as keyword arguments. Parameters are
    those of :class:`ModelEntry`; ``depth_convention`` defaults to ``metric`` for a depth task.
    """
    if unknown := sorted(set(tasks) - set(TASKS)):
        raise ValueError(f'unknown tasks {unknown}; known: {", ".join(TASKS)}')
    if 'depth' in tasks:
        depth_convention = depth_convention or 'metric'

    def register(build: Builder) -> Builder:
        name = build.__name__
        _ENTRIES[name] = ModelEntry(name, system, tasks, input, depth_convention, paper, licence,
                                    build)
        return build
    return register


def model_entry(name: str) -> ModelEntry:
    """The entry of a registered model.

    :raises ValueError: the name is unknown; the message lists the nearest ones.
    """
    if name not in _ENTRIES:
        near = difflib.get_close_matches(name, _ENTRIES, n=5, cutoff=0.3) or sorted(_ENTRIES)
        raise ValueError(f'unknown model "{name}"; did you mean one of {", ".join(near)}?')
    return _ENTRIES[name]


def create_model(name: str, **overrides: object) -> nn.Module:
    """Build a registered model.

    >>> model = create_model('xnet_small', pretrained=False)

    :param overrides: fields of the system's configuration, e.g. ``pretrained``, ``num_classes``.
    :raises ValueError: the name is unknown; the message lists the nearest ones.
    :raises TypeError: an override is not a field of the system's configuration.
    """
    return model_entry(name).build(**overrides)


def list_models(pattern: str = '*', tasks: Collection[str] = TASKS) -> list[str]:
    """Names of the registered models that match a shell pattern, sorted.

    :param tasks: only models that are registered for one of them.
    """
    return sorted(name for name in fnmatch.filter(_ENTRIES, pattern)
                  if set(_ENTRIES[name].tasks) & set(tasks))

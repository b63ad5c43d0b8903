"""One place where models have names."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Callable

from torch import nn

_ENTRIES: dict[str, Callable[..., nn.Module]] = {}


def register_model(entry: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """Register a model: the function's name becomes the model's name."""
    _ENTRIES[entry.__name__] = entry
    return entry


def create_model(name: str, **overrides: object) -> nn.Module:
    """Build a registered model.

    >>> model = create_model('xnet_small', pretrained=False)

    :param overrides: fields of the system's configuration, e.g. ``pretrained``, ``num_classes``.
    :raises ValueError: the name is unknown; the message lists the nearest ones.
    :raises TypeError: an override is not a field of the system's configuration.
    """
    if name not in _ENTRIES:
        near = difflib.get_close_matches(name, _ENTRIES, n=5, cutoff=0.3) or sorted(_ENTRIES)
        raise ValueError(f'unknown model "{name}"; did you mean one of {", ".join(near)}?')
    return _ENTRIES[name](**overrides)


def list_models(pattern: str = '*') -> list[str]:
    """Names of the registered models that match a shell pattern, sorted."""
    return sorted(fnmatch.filter(_ENTRIES, pattern))

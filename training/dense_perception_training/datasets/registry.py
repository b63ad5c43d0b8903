"""Datasets by name."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from dense_perception_training.datasets.base import DatasetError, DatasetInfo, DenseDataset

Opener = TypeVar('Opener', bound=Callable[..., DenseDataset])


@dataclass(frozen=True)
class _Entry:
    info: DatasetInfo
    opener: Callable[..., DenseDataset]


_ENTRIES: dict[str, _Entry] = {}


def register(info: DatasetInfo) -> Callable[[Opener], Opener]:
    """Decorator of a function ``(root, split, **options) -> DenseDataset``."""
    def add(opener: Opener) -> Opener:
        _ENTRIES[info.name] = _Entry(info, opener)
        return opener
    return add


def list_datasets() -> tuple[str, ...]:
    """Names that :func:`open_dataset` knows."""
    return tuple(sorted(_ENTRIES))


def dataset_info(name: str) -> DatasetInfo:
    """What a dataset is, without its files; classes that its files name are missing.

    :raises DatasetError: there is no such dataset.
    """
    return _entry(name).info


def open_dataset(name: str, root: str | Path, split: str | None = None,
                 **options: Any) -> DenseDataset:
    """Open a dataset that lies in the folder (or file) ``root``.

    >>> open_dataset('nyu', '/data/nyu', 'test')[0].depth

    :param split: one of the dataset's splits; None for datasets that have none.
    :param options: those of the dataset, see docs/datasets.md.
    :raises DatasetError: there is no such dataset, split or option, or files are missing.
    """
    entry = _entry(name)
    root = Path(root).expanduser()
    if not root.exists():
        raise entry.info.error(f'there is no {root}')
    if entry.info.splits and split not in entry.info.splits:
        raise DatasetError(f'dataset "{name}" has the splits {", ".join(entry.info.splits)}, not '
                           f'"{split}"')
    if not entry.info.splits and split is not None:
        raise DatasetError(f'dataset "{name}" has no splits, so not "{split}" either')
    known = [p for p in inspect.signature(entry.opener).parameters if p not in ('root', 'split')]
    for option in options:
        if option not in known:
            raise DatasetError(f'dataset "{name}" has no option "{option}"; it has '
                               f'{", ".join(known) or "none"}')
    return entry.opener(root, split, **options) if entry.info.splits else entry.opener(
        root, **options)


def parse_option(text: str) -> tuple[str, Any]:
    """``KEY=VALUE`` of a command line as an option of :func:`open_dataset`; VALUE is YAML.

    :raises DatasetError: it has no = or is no YAML.
    """
    key, equals, value = text.partition('=')
    if not equals:
        raise DatasetError(f'option "{text}" is not KEY=VALUE')
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise DatasetError(f'option "{text}" is no YAML: {error}') from None


def _entry(name: str) -> _Entry:
    if name not in _ENTRIES:
        near = difflib.get_close_matches(name, _ENTRIES, n=1)
        hint = f'did you mean "{near[0]}"?' if near else f'known: {", ".join(list_datasets())}'
        raise DatasetError(f'there is no dataset "{name}"; {hint}')
    return _ENTRIES[name]

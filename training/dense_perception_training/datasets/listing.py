"""Which files belong together: lists, folders and patterns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from dense_perception_training.datasets.base import DatasetInfo

_PROBES = 24


def read_list(path: Path, info: DatasetInfo) -> list[list[str]]:
    """The words of each line of a list of files; paths may begin with a slash, as in BTS's lists.

    :raises DatasetError: the list is missing or empty.
    """
    try:
        lines = path.read_text().splitlines()
    except OSError:
        raise info.error(f'there is no list {path}') from None
    rows = [[word.lstrip('/') for word in line.split()] for line in lines if line.strip()]
    if not rows:
        raise info.error(f'the list {path} is empty')
    return rows


def read_pairs(path: Path, info: DatasetInfo) -> list[tuple[str, str]]:
    """Image and depth of each line of a list that names both; "None" stands for no depth.

    :raises DatasetError: the list is missing, or no line of it has an image and its depth.
    """
    rows = [(row[0], row[1]) for row in read_list(path, info) if len(row) > 1 and row[1] != 'None']
    if not rows:
        raise info.error(f'no line of {path} names an image and its depth')
    return rows


def first_existing(paths: Iterable[Path], info: DatasetInfo, what: str) -> Path:
    """The first of several places where something may lie.

    :raises DatasetError: it lies in none of them.
    """
    paths = list(paths)
    for path in paths:
        if path.exists():
            return path
    raise info.error(f'{what} is missing; looked for {", ".join(map(str, paths))}')


def probe(paths: Sequence[Path], info: DatasetInfo) -> None:
    """Check that a spread of the listed files is there; all of them would take too long.

    :raises DatasetError: some are missing.
    """
    spread = np.unique(np.linspace(0, len(paths) - 1, min(_PROBES, len(paths))).astype(int))
    missing = [paths[i] for i in spread if not paths[i].exists()]
    if missing:
        raise info.error(f'{len(missing)} of {len(spread)} listed files that were looked for are '
                         f'missing, the first is {missing[0]}')


def matching(root: Path, pattern: str, info: DatasetInfo) -> dict[tuple[str, ...], Path]:
    """Files below ``root`` by what the wildcards of ``pattern`` stand for, in order of name.

    ``*`` stands for anything within one name, ``**`` for any folders.

    >>> matching(root, 'rgb/*.jpg', info)
    {('0001',): PosixPath('.../rgb/0001.jpg')}

    :raises DatasetError: no file matches, or the pattern has no wildcard.
    """
    if '*' not in pattern:
        raise info.error(f'the pattern "{pattern}" has no * to tell files apart by')
    text = re.escape(pattern).replace(r'\*\*/', r'((?:.*/)?)').replace(r'\*', r'([^/]*)')
    expression = re.compile(text)
    found = {}
    for path in sorted(root.glob(pattern)):
        match = expression.fullmatch(path.relative_to(root).as_posix())
        if match:
            found[match.groups()] = path
    if not found:
        raise info.error(f'no file below {root} matches "{pattern}"')
    return found


def pairs(info: DatasetInfo, **columns: dict[tuple[str, ...], Path]) -> list[dict[str, Path]]:
    """Rows of files whose wildcards stand for the same.

    :param columns: role -> what :func:`matching` gives; the first decides the order.
    :raises DatasetError: a file of the first has no partner.
    """
    (first, leading), *others = columns.items()
    for name, files in others:
        alone = [path for key, path in leading.items() if key not in files]
        if alone:
            raise info.error(f'{len(alone)} of {len(leading)} {first} files have no {name}, the '
                             f'first is {alone[0]}')
    return [{role: files[key] for role, files in columns.items()} for key in leading]

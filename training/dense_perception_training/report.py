"""Results as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def rounded(value: Any) -> Any:
    """Numbers to four digits, through dicts."""
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def markdown(title: str, result: dict[str, Any]) -> str:
    """A result as Markdown: one table a group of numbers, plain values as a list."""
    lines = [f'## {title}', '']
    lines += [f'- {name}: {value}' for name, value in result.items()
              if not isinstance(value, dict)]
    for name, group in result.items():
        if isinstance(group, dict):
            lines += ['', f'### {name}', '', *_table(group)]
    return '\n'.join(lines) + '\n'


def over_seeds(results: Mapping[str, Sequence[Mapping[str, float]]],
               columns: Mapping[str, str], digits: int = 3) -> str:
    """Mean and standard deviation of repeated runs as Markdown, a line a row.

    :param results: row -> one dict of metrics a seed. :param columns: metric -> its heading.
    """
    headings = ('row', *columns.values(), 'seeds')
    lines = [f'| {" | ".join(headings)} |', '|---' * len(headings) + '|']
    for row, runs in results.items():
        cells = []
        for metric in columns:
            values = [run[metric] for run in runs]
            spread = f' +- {np.std(values, ddof=1):.{digits}f}' if len(values) > 1 else ''
            cells.append(f'{np.mean(values):.{digits}f}{spread}' if values else '-')
        lines.append(f'| {row} | {" | ".join(cells)} | {len(runs)} |')
    return '\n'.join(lines)


def _table(group: dict[str, Any]) -> list[str]:
    nested = {k: v for k, v in group.items() if isinstance(v, dict)}
    plain = {k: v for k, v in group.items() if not isinstance(v, (dict, list))}
    lines = []
    if plain:
        lines += ['| ' + ' | '.join(plain) + ' |', '|' + '---|' * len(plain),
                  '| ' + ' | '.join(str(v) for v in plain.values()) + ' |']
    for name, inner in nested.items():
        lines += ['', f'**{name}**', '', *_table(inner)]
    return lines

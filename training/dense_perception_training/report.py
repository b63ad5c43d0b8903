"""Results as tables."""

from __future__ import annotations

from typing import Any


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

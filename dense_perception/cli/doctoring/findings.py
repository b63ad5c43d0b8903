"""What the doctor has to say: one sentence each, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Level(str, Enum):
    """How bad it is."""

    OK = 'OK'
    WARN = 'WARN'
    FAIL = 'FAIL'


@dataclass(frozen=True)
class Finding:
    """``check``: what was looked at. ``advice``: what to do; empty if nothing."""

    level: Level
    check: str
    sentence: str
    advice: str = ''


def ok(check: str, sentence: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, check, sentence)


def warn(check: str, sentence: str, advice: str = '') -> Finding:
    """It works, but not as well as it might, or not for everybody."""
    return Finding(Level.WARN, check, sentence, advice)


def fail(check: str, sentence: str, advice: str = '') -> Finding:
    """It cannot work like this."""
    return Finding(Level.FAIL, check, sentence, advice)


def table(findings: Sequence[Finding]) -> str:
    """The findings as lines for people, in the order they were made."""
    width = max(len(f.check) for f in findings)
    lines = []
    for finding in findings:
        lines.append(f'{finding.level.value:4}  {finding.check:{width}}  {finding.sentence}')
        if finding.advice:
            lines.append(f'{"":{width + 8}}-> {finding.advice}')
    counts = {level: sum(f.level == level for f in findings) for level in Level}
    return '\n'.join([*lines, '', ', '.join(f'{n} {level.value}' for level, n in counts.items())])

"""Tables between the keys of a public checkpoint and ours, read in both directions."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch

State = Mapping[str, torch.Tensor]


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message says why and what would be right."""


@dataclass(frozen=True)
class Rule:
    """Keys of theirs that are one key of ours, with whatever follows them.

    ``#`` stands for a number and is the same on both sides. More than one key of theirs are the
    parts of ours, in this order along the first dimension.
    """

    theirs: tuple[str, ...]
    ours: str


def rule(theirs: str | tuple[str, ...], ours: str) -> Rule:
    """Make a rule; one key of theirs may be given as it is."""
    return Rule((theirs,) if isinstance(theirs, str) else theirs, ours)


@dataclass(frozen=True)
class Filler:
    """A key of theirs that nothing of ours corresponds to: dropped, and written as zeros.

    ``shape`` computes its shape from our state.
    """

    key: str
    shape: Callable[[State], tuple[int, ...]]


class KeyTable:
    """Rules and fillers of one kind of checkpoint; bit-exact in both directions."""

    def __init__(self, rules: Iterable[Rule], fillers: Iterable[Filler] = ()) -> None:
        self._rules, self._fillers = list(rules), list(fillers)

    def to_ours(self, state: State) -> dict[str, torch.Tensor]:
        """Their state dict as ours. Keys without a rule keep their name.

        :raises CheckpointError: a part of one of our tensors is missing.
        """
        dropped = {filler.key for filler in self._fillers}
        ours: dict[str, torch.Tensor] = {}
        merged: dict[str, Rule] = {}
        for key, tensor in state.items():
            if key in dropped:
                continue
            name, entry = self._ours(key)
            if entry is None or len(entry.theirs) == 1:
                ours[name] = tensor
            else:
                merged[name] = entry
        for name, entry in merged.items():
            keys = _all_theirs(name, entry)
            if missing := [key for key in keys if key not in state]:
                raise CheckpointError(f'the checkpoint is incomplete: it has no '
                                      f'{" and no ".join(missing)}, only the other parts of that '
                                      'layer')
            ours[name] = torch.cat([state[key] for key in keys])
        return ours

    def from_ours(self, state: State) -> dict[str, torch.Tensor]:
        """Our state dict as theirs.

        :raises CheckpointError: one of our keys has no rule.
        """
        theirs: dict[str, torch.Tensor] = {}
        for name, tensor in state.items():
            entry = next((entry for entry in self._rules if _all_theirs(name, entry)), None)
            if entry is None:
                raise CheckpointError(f'"{name}" has no counterpart in this layout; is the model '
                                      'of the variant that the layout is for?')
            keys = _all_theirs(name, entry)
            # Parts of their own: as views they would share memory, which safetensors refuses.
            pieces = [tensor] if len(keys) == 1 else [
                part.clone() for part in tensor.chunk(len(keys))]
            theirs.update(zip(keys, pieces, strict=True))
        for filler in self._fillers:
            reference = next(iter(state.values()))
            theirs[filler.key] = reference.new_zeros(filler.shape(state))
        return theirs

    def _ours(self, key: str) -> tuple[str, Rule | None]:
        """Our name of one of their keys, and the rule that says so."""
        for entry in self._rules:
            for pattern in entry.theirs:
                name = _translate(key, pattern, entry.ours)
                if name is not None:
                    return name, entry
        return key, None


def _all_theirs(name: str, entry: Rule) -> list[str]:
    keys = (_translate(name, entry.ours, pattern) for pattern in entry.theirs)
    return [key for key in keys if key is not None]


def _translate(key: str, source: str, target: str) -> str | None:
    """``key`` with ``source`` in front of it replaced by ``target``; None if it is not."""
    match = _pattern(source).fullmatch(key)
    if match is None:
        return None
    *numbers, rest = match.groups()
    for number in numbers:
        target = target.replace('#', number, 1)
    return target + rest


@functools.cache
def _pattern(source: str) -> re.Pattern[str]:
    return re.compile(re.escape(source).replace(r'\#', r'(\d+)') + r'((?:\..+)?)')

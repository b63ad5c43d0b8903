"""What every loss is, how a recipe names it, and the weighted sum of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import nn

from dense_perception_training.named import Named

Tensors = Mapping[str, torch.Tensor]


class Loss(Protocol):
    """Callable with the model's outputs and the batch; gives a scalar."""

    def __call__(self, outputs: Tensors, batch: Tensors) -> torch.Tensor:
        """The loss of one batch."""


class UnboundLoss(Protocol):
    """A loss that needs the model as it is before training, or has weights of its own."""

    def bind(self, model: nn.Module) -> nn.Module:
        """The loss itself, with what learns along with the model as its parameters.

        What is frozen in it must follow from the model alone: it is in no checkpoint.

        :raises LossError: the model is of another kind.
        """


class LossError(ValueError):
    """A loss that does not exist, has no such option, or misses what it compares."""


_NAMED = Named('loss', LossError)
LOSSES, register_loss = _NAMED.classes, _NAMED.register


def make_loss(name: str, **options: Any) -> Loss:
    """A loss by its name in a recipe.

    :raises LossError: there is no such loss or option; the message says which there are.
    """
    return _NAMED.make(name, **options)


@dataclass(frozen=True)
class Term:
    """One summand of a criterion: ``name`` in logs, the loss, its weight."""

    name: str
    loss: Loss | UnboundLoss
    weight: float = 1.0


class Criterion:
    """Weighted sum of losses.

    >>> criterion = Criterion.from_config([{'loss': 'silog', 'weight': 1.0}])
    """

    def __init__(self, terms: Sequence[Term]) -> None:
        if not terms:
            raise LossError('a recipe needs at least one loss')
        self.terms = tuple(terms)

    @classmethod
    def from_config(cls, config: Sequence[Mapping[str, Any]]) -> Criterion:
        """From a recipe's list of ``{loss: NAME, weight: W, <options>}``.

        :raises LossError: a loss or option that does not exist.
        """
        terms: list[Term] = []
        for entry in config:
            if 'loss' not in entry:
                raise LossError(f'{dict(entry)} names no loss; write "loss: silog", for example')
            options = {k: v for k, v in entry.items() if k not in ('loss', 'weight')}
            name = str(entry['loss'])
            taken = sum(t.name.split('#')[0] == name for t in terms)
            terms.append(Term(f'{name}#{taken + 1}' if taken else name,
                              make_loss(name, **options), float(entry.get('weight', 1.0))))
        return cls(terms)

    def bound(self, model: nn.Module) -> Criterion:
        """The same sum for this model; :attr:`learned` are the losses that it made."""
        return Criterion([
            replace(term, loss=term.loss.bind(model)) if hasattr(term.loss, 'bind') else term
            for term in self.terms])

    @property
    def learned(self) -> dict[str, nn.Module]:
        """The losses that have parameters, by name."""
        return {term.name: term.loss for term in self.terms if isinstance(term.loss, nn.Module)}

    def with_learned(self, losses: Mapping[str, nn.Module]) -> Criterion:
        """The same sum with some of :attr:`learned` replaced, by name."""
        return Criterion([replace(term, loss=losses.get(term.name, term.loss))
                          for term in self.terms])

    def __call__(self, outputs: Tensors, batch: Tensors) -> dict[str, torch.Tensor]:
        """Every term's unweighted loss by name, and their weighted sum as ``loss``."""
        parts = {term.name: term.loss(outputs, batch) for term in self.terms}
        total = sum(term.weight * parts[term.name] for term in self.terms)
        return {'loss': torch.as_tensor(total), **parts}


def wanted(tensors: Tensors, name: str, what: str) -> torch.Tensor:
    """``tensors[name]``.

    :raises LossError: it is not there; the message says what is.
    """
    if name not in tensors:
        raise LossError(f'the loss needs "{name}" of the {what}, which has '
                        f'{", ".join(sorted(tensors))}')
    return tensors[name]


def masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of ``values`` where ``mask``; 0 (with gradient 0) where there is none."""
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)

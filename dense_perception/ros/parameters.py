"""Parameters declared from one table, refused with a reason."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from dense_perception.ros.executable import FatalError


@dataclass(frozen=True)
class Declaration:
    """One parameter: its default also fixes its type.

    ``choices`` or ``minimum``/``maximum`` (inclusive) limit its value. ``dynamic`` parameters
    may change at any time; the others need a restart or, in a lifecycle node, the state
    unconfigured, unless they are ``fixed``.
    """

    name: str
    default: Any
    description: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    dynamic: bool = False
    fixed: bool = False

    def problem(self, value: Any) -> str | None:
        """Why ``value`` is refused; None if it is good."""
        if self.choices and value not in self.choices:
            return f'{self.name} is "{value}", it must be one of {", ".join(self.choices)}'
        if self.minimum is not None and not self.minimum <= value <= self.maximum:
            return f'{self.name} is {value}, it must be within {self.minimum} .. {self.maximum}'
        return None

    def descriptor(self, read_only: bool) -> ParameterDescriptor:
        """What ``ros2 param describe`` shows."""
        descriptor = ParameterDescriptor(description=self.description, read_only=read_only)
        if self.choices:
            descriptor.additional_constraints = f'one of: {", ".join(self.choices)}'
        if self.minimum is not None and isinstance(self.default, float):
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=self.minimum, to_value=self.maximum)]
        elif self.minimum is not None:
            descriptor.integer_range = [
                IntegerRange(from_value=int(self.minimum), to_value=int(self.maximum))]
        return descriptor


class Parameters:
    """The declared parameters of a node and their values now.

    :param locked: says of a parameter that is neither dynamic nor fixed why it cannot change
        now, None if it can; without it such parameters never change.
    :raises FatalError: a value given at the start has the wrong type or is out of its limits.
    """

    def __init__(self, node: Node, table: Sequence[Declaration],
                 locked: Callable[[str], str | None] | None = None) -> None:
        self._node = node
        self._locked = locked
        self._table = {d.name: d for d in table}
        self._values: dict[str, Any] = {}
        self._rules: list[Callable[[Mapping[str, Any]], str | None]] = []
        for declaration in table:
            read_only = declaration.fixed or not (declaration.dynamic or locked)
            self._values[declaration.name] = _declare(node, declaration, read_only)
        node.add_on_set_parameters_callback(self._check)
        node.add_post_set_parameters_callback(self._set)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def demand(self, rule: Callable[[Mapping[str, Any]], str | None]) -> None:
        """Hold all values, now and after every change, to a rule.

        :param rule: gets every value by name; says why they are refused, or None.
        :raises FatalError: they break it now.
        """
        if problem := rule(self._values):
            raise FatalError(f'parameter {problem}')
        self._rules.append(rule)

    def problem(self, **changes: Any) -> str | None:
        """Why the values would break a rule with these changes; None if they would not."""
        problems = [rule({**self._values, **changes}) for rule in self._rules]
        return '; '.join(p for p in problems if p) or None

    def unknown(self, ignored: Sequence[str] = ()) -> dict[str, str]:
        """Names of values given at the start that nothing has declared, each with a sentence.

        To be asked when everything is declared. A parameter file may serve several nodes, so such
        a name is a mistake only perhaps.

        :param ignored: names that are declared by other nodes of this process.
        """
        declared = [*self._node.get_parameters_by_prefix('')]
        sentences = {}
        for name in self._node._parameter_overrides:  # rclpy has no other way to ask
            if name not in declared and name not in ignored:
                near = difflib.get_close_matches(name, declared, n=1)
                sentences[name] = f'parameter {name} is unknown and does nothing' + (
                    f'; did you mean {near[0]}?' if near else '')
        return sentences

    def update(self, **values: Any) -> None:
        """Set parameters that are locked for everybody else.

        :raises ValueError: a value is refused.
        """
        with self._unlocked():
            for result in self._node.set_parameters(
                    [Parameter(name, value=value) for name, value in values.items()]):
                if not result.successful:
                    raise ValueError(result.reason)

    @contextlib.contextmanager
    def _unlocked(self) -> Iterator[None]:
        locked, self._locked = self._locked, None
        try:
            yield
        finally:
            self._locked = locked

    def _check(self, parameters: list[Parameter]) -> SetParametersResult:
        ours = {p.name: p.value for p in parameters if p.name in self._table}
        problems = [self._table[name].problem(value) or self._lock_of(name)
                    for name, value in ours.items()]
        if ours and not any(problems):
            problems = [rule(self._values | ours) for rule in self._rules]
        reason = '; '.join(p for p in problems if p)
        return SetParametersResult(successful=not reason, reason=reason)

    def _lock_of(self, name: str) -> str | None:
        return self._locked(name) if self._locked and not self._table[name].dynamic else None

    def _set(self, parameters: list[Parameter]) -> None:
        ours = {p.name: p.value for p in parameters if p.name in self._table}
        self._values.update(ours)


def _declare(node: Node, declaration: Declaration, read_only: bool) -> Any:
    try:
        value = node.declare_parameter(declaration.name, declaration.default,
                                       declaration.descriptor(read_only)).value
    except InvalidParameterTypeException as error:
        raise FatalError(f'parameter {declaration.name} has the wrong type: {error}') from None
    except InvalidParameterValueException as error:
        raise FatalError(f'parameter {declaration.name} is refused: {error}') from None
    problem = declaration.problem(value)
    if problem:
        raise FatalError(f'parameter {problem}')
    return value

"""Parameters declared from one table, refused with a reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    may change while the node runs; the others need a restart.
    """

    name: str
    default: Any
    description: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    dynamic: bool = False

    def problem(self, value: Any) -> str | None:
        """Why ``value`` is refused; None if it is good."""
        if self.choices and value not in self.choices:
            return f'{self.name} is "{value}", it must be one of {", ".join(self.choices)}'
        if self.minimum is not None and not self.minimum <= value <= self.maximum:
            return f'{self.name} is {value}, it must be within {self.minimum} .. {self.maximum}'
        return None

    def descriptor(self) -> ParameterDescriptor:
        """What ``ros2 param describe`` shows."""
        descriptor = ParameterDescriptor(description=self.description,
                                         read_only=not self.dynamic)
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

    :param changed: called without arguments after dynamic parameters were set.
    :raises FatalError: a value given at the start has the wrong type or is out of its limits.
    """

    def __init__(self, node: Node, table: Sequence[Declaration],
                 changed: Callable[[], None] = lambda: None) -> None:
        self._table = {d.name: d for d in table}
        self._values: dict[str, Any] = {}
        self._rules: list[Callable[[Mapping[str, Any]], str | None]] = []
        for declaration in table:
            self._values[declaration.name] = _declare(node, declaration)
        node.add_on_set_parameters_callback(self._check)
        node.add_post_set_parameters_callback(self._set)
        self._changed = changed

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

    def _check(self, parameters: list[Parameter]) -> SetParametersResult:
        ours = {p.name: p.value for p in parameters if p.name in self._table}
        problems = [self._table[name].problem(value) for name, value in ours.items()]
        if ours and not any(problems):
            problems = [rule(self._values | ours) for rule in self._rules]
        reason = '; '.join(p for p in problems if p)
        return SetParametersResult(successful=not reason, reason=reason)

    def _set(self, parameters: list[Parameter]) -> None:
        ours = {p.name: p.value for p in parameters if p.name in self._table}
        self._values.update(ours)
        if ours:
            self._changed()


def _declare(node: Node, declaration: Declaration) -> Any:
    try:
        value = node.declare_parameter(declaration.name, declaration.default,
                                       declaration.descriptor()).value
    except InvalidParameterTypeException as error:
        raise FatalError(f'parameter {declaration.name} has the wrong type: {error}') from None
    except InvalidParameterValueException as error:
        raise FatalError(f'parameter {declaration.name} is refused: {error}') from None
    problem = declaration.problem(value)
    if problem:
        raise FatalError(f'parameter {problem}')
    return value

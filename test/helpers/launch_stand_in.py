"""A stand-in for ROS's launch, which has no wheel: it records what a launch file asks of it."""

from __future__ import annotations

import functools
import importlib.util
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

_MODULES = ('launch', 'launch.actions', 'launch.substitutions', 'launch_ros',
            'launch_ros.actions', 'launch_ros.parameter_descriptions', 'launch_ros.substitutions')


@dataclass
class Call:
    """One call of a class of launch, by the class's name."""

    kind: str
    args: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)


class Recording:
    """What one launch file declares and starts.

    :param file: the launch file.
    :param monkeypatch: puts the stand-in into place for the rest of the test.
    """

    def __init__(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in _MODULES:
            monkeypatch.setitem(sys.modules, name, _stand_in(name))
        spec = importlib.util.spec_from_file_location('launch_file', file)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.entities: list[Call] = module.generate_launch_description().args[0]

    @property
    def arguments(self) -> dict[str, dict[str, Any]]:
        """Options of every DeclareLaunchArgument at top level, by the argument's name."""
        return {e.args[0]: e.options for e in self.entities if e.kind == 'DeclareLaunchArgument'}

    def nodes(self, **given: str) -> dict[str, dict[str, Any]]:
        """Options of every Node by its name, in order, with these values of the arguments."""
        values = {name: _text(options['default_value'])
                  for name, options in self.arguments.items()} | given
        context = SimpleNamespace(launch_configurations=values)
        calls = [call for e in self.entities if e.kind == 'OpaqueFunction'
                 for call in e.options['function'](context)]
        assert all(call.kind == 'Node' for call in calls)
        return {call.options['name']: call.options for call in calls}


def _stand_in(name: str) -> ModuleType:
    module = ModuleType(name)
    module.__path__ = []  # type: ignore[attr-defined]
    module.__getattr__ = lambda kind: functools.partial(_call, kind)  # type: ignore[method-assign]
    return module


def _call(kind: str, *args: Any, **options: Any) -> Call:
    return Call(kind, args, options)


def _text(default: Any) -> Any:
    """A default as the text that launch would make of it: joined paths are read as such."""
    if isinstance(default, Call):
        assert default.kind == 'PathJoinSubstitution', default
        return '/'.join(default.args[0][1:])
    return default

"""Checks a parameter file against what the nodes declare: ROS ignores a misspelt name silently."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from dense_perception.cli.doctoring.findings import Finding, fail, ok, warn
from dense_perception.nodes import image_source_node, perception_node
from dense_perception.ros.parameters import Declaration

DECLARED: Mapping[str, Mapping[str, Declaration]] = {
    'perception': {d.name: d for d in perception_node.PARAMETERS},
    'image_source': {d.name: d for d in image_source_node.PARAMETERS}}
_OF_EVERY_NODE = ('use_sim_time', 'qos_overrides', 'start_type_description_service')
_SUBSTITUTION = '$('


def check_file(path: Path) -> list[Finding]:
    """Findings about a parameter file; values with launch substitutions are not looked at."""
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        return [fail('parameters', f'{path} cannot be read: {error.strerror}')]
    except yaml.YAMLError as error:
        return [fail('parameters', f'{path} is no YAML: {" ".join(str(error).split())}')]
    sections = list(_sections(content)) if isinstance(content, dict) else []
    if not sections:
        return [fail('parameters', f'{path} has no section of the form <node>: ros__parameters:',
                     'begin it with "/**/perception:" and "  ros__parameters:"')]
    found: list[Finding] = []
    for node, values in sections:
        found += _check_section(path, node, values)
    return found or [ok('parameters', f'{path}: every name and value is one that its node takes')]


def _sections(content: Mapping[str, Any], prefix: str = '') -> Iterator[tuple[str, dict]]:
    """Node name (or wildcard) and its parameters; namespaces may be nested."""
    for key, value in content.items():
        if key == 'ros__parameters' and isinstance(value, dict):
            yield prefix, dict(_flat(value))
        elif isinstance(value, dict):
            yield from _sections(value, f'{prefix}/{str(key).strip("/")}')


def _flat(values: Mapping[str, Any], prefix: str = '') -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f'{prefix}{key}.')
        else:
            yield f'{prefix}{key}', value


def _check_section(path: Path, node: str, values: Mapping[str, Any]) -> Iterator[Finding]:
    name = node.rpartition('/')[2]
    shared = name in ('**', '*')
    declared = DECLARED['perception'] if shared else DECLARED.get(name)
    if declared is None:
        yield warn('parameters', f'{path}: "{node}" is none of our nodes '
                   f'({", ".join(DECLARED)}): its section is not looked at')
        return
    for parameter, value in values.items():
        if parameter.split('.')[0] in _OF_EVERY_NODE:
            continue
        if parameter not in declared:
            near = difflib.get_close_matches(parameter, declared, 1)
            sentence = f'{path}: {name if not shared else "perception"} has no parameter ' \
                       f'"{parameter}", ROS ignores it without a word'
            yield (warn if shared else fail)('parameters', sentence,
                                             f'did you mean "{near[0]}"?' if near else '')
        elif problem := _problem(declared[parameter], value):
            yield fail('parameters', f'{path}: {problem}')


def _problem(declaration: Declaration, value: Any) -> str | None:
    if isinstance(value, str) and _SUBSTITUTION in value:
        return None
    wanted = type(declaration.default)
    if type(value) is not wanted:
        hint = f'; write {value}.0' if wanted is float and type(value) is int else ''
        return (f'{declaration.name} is {value!r}, a {type(value).__name__} where ROS wants a '
                f'{wanted.__name__}{hint}')
    return declaration.problem(value)

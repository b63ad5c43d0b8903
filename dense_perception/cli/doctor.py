"""``dense-perception doctor``: what is wrong with this machine, this graph, this camera."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from dense_perception.cli.doctoring.findings import Finding, Level, fail, table, warn
from dense_perception.inference.backends import BACKENDS

_SHIPPED = 'xnet_small'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument('--namespace', default='', help='look at perception nodes in this '
                        'namespace only, and for topics in it')
    parser.add_argument('--image', default='image',
                        help='camera topic, where no perception node runs that says it')
    parser.add_argument('--camera-info', default='camera_info', help='likewise its calibration')
    parser.add_argument('--model', help='shipped model or path of a model file (default: that of '
                        'the running node, else xnet_small)')
    parser.add_argument('--backend', choices=('auto', *BACKENDS), help='likewise')
    parser.add_argument('--params-file', type=Path, metavar='FILE',
                        help='check its names and values too')
    parser.add_argument('--seconds', type=float, default=4.0,
                        help='how long to listen (default: 4)')
    parser.add_argument('--json', action='store_true', help='JSON instead of a table')


def run(args: argparse.Namespace) -> int:
    """Look, list what was found; exit code 1 if anything is FAIL."""
    findings = list(_findings(args))
    if args.json:
        print(json.dumps({'findings': [asdict(f) for f in findings]}, indent=2))
    else:
        print(table(findings))
    return int(any(f.level is Level.FAIL for f in findings))


def _findings(args: argparse.Namespace) -> Iterator[Finding]:
    shell = dict(os.environ)  # before rclpy and we ourselves change it
    from dense_perception.cli.doctoring import machine
    if args.params_file:
        yield from _check_file(args.params_file)
    yield from machine.check_shared_memory()
    try:
        import rclpy

        from dense_perception.cli.doctoring.examination import examine
    except ImportError as error:
        yield fail('ROS', f'{error}: the graph cannot be looked at', 'source ROS 2 and the '
                   'workspace, or use the environment that "make demo" makes')
        yield from machine.check_model(args.model or _SHIPPED, args.backend or 'auto')
        return
    yield from machine.check_profile(shell, rclpy.get_rmw_implementation_identifier())
    yield machine.environment_finding(shell)
    yield from examine(args)


def _check_file(path: Path) -> list[Finding]:
    try:
        from dense_perception.cli.doctoring.settings import check_file
    except ImportError as error:
        return [warn('parameters', f'{path} is not checked: {error}')]
    return check_file(path)

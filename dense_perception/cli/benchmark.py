"""``dense-perception benchmark``: measure this machine; docs/benchmarks.md says what is what."""

from __future__ import annotations

import argparse
import json
import os
import platform
from importlib import import_module

BENCHMARKS = {
    'pipeline': 'frames per second, latency, overhead and load of the whole graph',
    'load': 'the graph at half, full, double and triple load: latency, age, drops',
    'cameras': 'several cameras in one process against a process for each',
    'cloud': 'building an organised cloud against other ways to do it',
    'rectification': 'undoing the lens of an image on its way to the network',
    'scale': 'where metres come from on a nodding camera, and how good they are',
    'model': 'one model file alone, in every backend that works here',
    'engine': 'building and loading a model, backend by backend',
    'startup': 'process start of the perception node to its first depth',
    'models': 'networks side by side: variants with random weights',
    'ceiling': 'one network in torch, in several precisions, against matrix products',
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    subparsers = parser.add_subparsers(dest='benchmark', required=True, metavar='benchmark')
    for name, summary in BENCHMARKS.items():
        subparser = subparsers.add_parser(name, help=summary, description=summary.capitalize())
        subparser.add_argument('--json', action='store_true', help='JSON instead of Markdown')
        _module(name).add_arguments(subparser)


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    module = _module(args.benchmark)
    result = module.measure(args) | {'hardware': hardware()}
    if args.json:
        print(json.dumps(result, indent=2))
    else:
        print(f'{module.markdown(result)}\n\nOn {result["hardware"]}.')
    return 0


def hardware() -> str:
    """Processor, cores this process may use, and Python."""
    name = platform.processor() or platform.machine()
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as info:
            name = next((line.split(':', 1)[1].strip() for line in info
                         if line.startswith('model name')), name)
    except OSError:
        pass
    return f'{name}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}'


def _module(name: str):
    return import_module(f'dense_perception.cli.benchmarks.{name}')

"""From the start of the perception node's process to its first depth."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from dense_perception.cli import observer as topics
from dense_perception.cli.observer import Observer
from dense_perception.cli.processes import NodeGroup, free_domain
from dense_perception.inference.backends import BACKENDS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the benchmark."""
    parser.add_argument('--source', default='demo', help='as of the demo (default: demo)')
    parser.add_argument('--model', default='xnet_small',
                        help='shipped model or path of a model file (default: xnet_small)')
    parser.add_argument('--backend', default='auto', choices=('auto', *BACKENDS))
    parser.add_argument('--rounds', type=int, default=5, help='starts to measure (default: 5)')


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds to the first frame, and the CPU time of the process until then."""
    starts = []
    with tempfile.TemporaryDirectory() as logs, \
            NodeGroup(free_domain(), Path(logs)) as group, \
            Observer(group.domain, (topics.DEPTH, topics.RELATIVE)) as observer:
        source = group.start('image_source', {'source': args.source, 'rate': 30.0})
        # The source plays to those who listen; it must be up before the clock starts.
        group.wait_for('image source', lambda: observer.node.count_publishers('image'),
                       observer.spin)
        for _ in range(args.rounds):
            starts.append(_start(group, observer, args))
        group.nodes = [source]
    seconds, cpu, backend = zip(*starts)
    return {'model': args.model, 'backend': backend[-1],
            'first_frame_s': {'min': round(min(seconds), 2), 'p50': round(
                float(np.median(seconds)), 2), 'max': round(max(seconds), 2)},
            'cpu_s': round(min(cpu), 2), 'starts': args.rounds}


def markdown(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    found = result['first_frame_s']
    return (f'{result["model"]} on {result["backend"]}, {result["starts"]} starts\n\n'
            '| process start to first depth | s |\n|---|---|\n'
            f'| fastest | {found["min"]} |\n| median | {found["p50"]} |\n'
            f'| slowest | {found["max"]} |\n| CPU time of the process, least | '
            f'{result["cpu_s"]} |')


def _start(group: NodeGroup, observer: Observer,
           args: argparse.Namespace) -> tuple[float, float, str]:
    observer.forget()
    begin = time.monotonic()
    node = group.start('perception', {'model': args.model, 'backend': args.backend})
    group.wait_for('frame', lambda: observer.frames, observer.spin)
    first, cpu = observer.frames[0], node.cpu_seconds()
    node.stop()
    observer.spin(0.5)  # what is still on its way must not count for the next start
    return first.received - begin, cpu, first.backend

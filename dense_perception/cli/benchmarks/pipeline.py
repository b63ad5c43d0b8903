"""The whole graph: source and perception as processes, and a light listener in this one."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from dense_perception.cli import observer as topics
from dense_perception.cli.command import CommandError
from dense_perception.cli.observer import Observer
from dense_perception.cli.processes import NodeGroup, NodeProcess, free_domain
from dense_perception.cli.summary import timing
from dense_perception.inference.backends import BACKENDS, PRECISIONS

_LISTENED = {'depth': (topics.DEPTH, topics.RELATIVE), 'mask': (topics.MASK,),
             'cloud': (topics.CLOUD,)}
_IDLE_S = 5.0
_WARM_S = 4.0  # in which the demo clip is played once at 75 Hz
_SOURCE_MB = 512  # a camera's driver copies pixels, it decodes no JPEG


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the benchmark."""
    parser.add_argument('--source', default='demo', help='as of the demo (default: demo)')
    parser.add_argument('--model', default='xnet_small',
                        help='shipped model or path of a model file (default: xnet_small)')
    parser.add_argument('--backend', default='auto', choices=('auto', *BACKENDS))
    parser.add_argument('--precision', default='fp32', choices=PRECISIONS)
    parser.add_argument('--threads', type=int, default=0, help='CPU threads of the backend; '
                        '0 = one per core (default: 0)')
    parser.add_argument('--inferences', type=int, default=0, help="the node's parameter "
                        'inferences (default: 0)')
    parser.add_argument('--spin-us', type=int, default=0, help="the node's parameter spin_us "
                        '(default: 0)')
    parser.add_argument('--rate', type=float, default=100.0, metavar='HZ',
                        help='images per second that the source offers (default: 100)')
    parser.add_argument('--size', default='640x480', metavar='WxH',
                        help='size of the images (default: 640x480)')
    parser.add_argument('--output-size', default='model', choices=('model', 'camera'),
                        help='size of depth, mask and cloud (default: model)')
    parser.add_argument('--outputs', nargs='+', choices=_LISTENED, default=list(_LISTENED),
                        help='what is listened to (default: depth mask cloud)')
    parser.add_argument('--duration', type=float, default=20.0, metavar='SECONDS',
                        help='how long to measure, after the start-up (default: 20)')


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Rates, times and load while the source plays at a steady rate."""
    try:
        width, height = (int(part) for part in args.size.split('x'))
    except ValueError:
        raise CommandError(f'size "{args.size}" is not of the form 640x480') from None
    with tempfile.TemporaryDirectory() as logs, NodeGroup(free_domain(), Path(logs)) as group:
        perception = group.start('perception', {
            'model': args.model, 'output_size': args.output_size, 'backend': args.backend,
            'precision': args.precision, 'threads': args.threads,
            'inferences': args.inferences, 'spin_us': args.spin_us})
        source = group.start('image_source', {'source': args.source, 'rate': args.rate,
                                              'width': width, 'height': height,
                                              'memory_mb': _SOURCE_MB})
        listened = tuple(topic for output in args.outputs for topic in _LISTENED[output])
        with Observer(group.domain, listened) as observer:
            # The first frames pay for caches, pages, connections and the decoding of the clip.
            group.wait_for('20 frames', lambda: len(observer.frames) >= 20, observer.spin)
            observer.spin(_WARM_S)
            busy, sending = _Load(perception), _Load(source)
            listening = time.process_time()
            observer.forget()
            observer.spin(args.duration)
            group.check()
            result = _result(observer, args)
            result |= {
                'cpu_percent': busy.percent(), 'source_cpu_percent': sending.percent(),
                'listener_cpu_percent': round(
                    100 * (time.process_time() - listening) / args.duration, 1),
                'cpu_ms_per_frame': round(1e3 * busy.seconds() / max(result['frames_out'], 1), 2)}
        source.stop()
        group.nodes.remove(source)
        time.sleep(_IDLE_S / 2)  # until the node has seen that nobody listens any more
        idle = _Load(perception)
        time.sleep(_IDLE_S)
        group.check()
        return result | {'idle_cpu_percent': idle.percent(), 'rss_mb': perception.resident_mb()}


class _Load:
    """What a process takes of the processor from now on."""

    def __init__(self, process: NodeProcess) -> None:
        self._process = process
        self._before, self._start = process.cpu_seconds(), time.monotonic()

    def seconds(self) -> float:
        """CPU time until now."""
        return self._process.cpu_seconds() - self._before

    def percent(self) -> float:
        """Of one core until now."""
        return round(100 * self.seconds() / (time.monotonic() - self._start), 1)


def markdown(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    rows = [f'| {name} | {value} |' for name, value in _flat(result) if name != 'hardware']
    return '\n'.join(['| quantity | value |', '|---|---|', *rows])


def _result(observer: Observer, args: argparse.Namespace) -> dict[str, Any]:
    if len(observer.frames) < 2:
        raise CommandError('the graph fell silent while it was measured')
    first, last = observer.frames[0], observer.frames[-1]
    result = {'source_rate_hz': args.rate, 'input': args.size, 'output_size': args.output_size,
              'outputs': ', '.join(args.outputs), 'threads': args.threads,
              'inferences': args.inferences, 'spin_us': args.spin_us}
    result |= timing(observer.frames)
    result |= {name: getattr(last, name) - getattr(first, name)
               for name in ('frames_in', 'frames_out', 'dropped')}
    result['stages_ms'] = {
        name: round(float(np.median([f.stages_ms[name] for f in observer.frames
                                     if name in f.stages_ms])), 2) for name in last.stages_ms}
    result['arrival_ms'] = {topic: {'received': len(values),
                                    'p50': round(float(np.percentile(values, 50)), 2),
                                    'p95': round(float(np.percentile(values, 95)), 2)}
                            for topic, values in observer.arrival_ms.items() if values}
    return result


def _flat(result: dict[str, Any], prefix: str = '') -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, value in result.items():
        if isinstance(value, dict):
            pairs += _flat(value, f'{prefix}{name} ')
        else:
            pairs.append((prefix + name, value))
    return pairs

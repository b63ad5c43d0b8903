"""The whole graph under half, full, double and triple load, and whether age stays bounded."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from dense_perception.cli.benchmarks import pipeline
from dense_perception.cli.command import CommandError

_FACTORS = (0.5, 1.0, 2.0, 3.0)
_COLUMNS = {'load': 'load', 'rate': 'images offered /s', 'fps': 'put out /s', 'dropped': 'dropped',
            'p50': 'latency p50 ms', 'p95': 'p95', 'p99': 'p99', 'age': 'age p95 ms',
            'bound': 'period + inference ms', 'cpu': 'CPU %'}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the benchmark."""
    pipeline.add_arguments(parser)
    parser.add_argument('--factors', type=float, nargs='+', default=_FACTORS, metavar='X',
                        help='offered images over what the graph can bear, which a first run at '
                             '--rate finds (default: 0.5 1 2 3)')
    parser.add_argument('--plot', type=Path, metavar='PNG', help='draw it, too')


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """The pipeline at each factor of the rate that it can bear.

    :raises CommandError: a factor is not positive, or the plot cannot be drawn.
    """
    if min(args.factors) <= 0:
        raise CommandError(f'--factors {min(args.factors):g} must be above 0')
    if args.plot:
        _figure()  # before minutes of measuring
    capacity = pipeline.measure(args)
    loads = []
    for factor in args.factors:
        rate = round(factor * capacity['fps'], 1)
        loads.append({'load': factor, **pipeline.measure(
            argparse.Namespace(**{**vars(args), 'rate': rate}))})
    result = {'capacity_fps': capacity['fps'], 'backend': capacity['backend'],
              'model': capacity['model'], 'loads': loads}
    if args.plot:
        draw(args.plot, result)
    return result


def rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a load; ``bound``: what the age may be, a period of the source + one inference."""
    return [{'load': f'{load["load"]:g}x', 'rate': load['source_rate_hz'], 'fps': load['fps'],
             'dropped': f'{load["dropped"]} of {load["frames_in"]}',
             **{name: load['latency_ms'][name] for name in ('p50', 'p95', 'p99')},
             'age': load['age_ms']['p95'], 'cpu': load['cpu_percent'],
             'bound': round(1e3 / load['source_rate_hz'] + load['inference_ms']['p95'], 1)}
            for load in result['loads']]


def markdown(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    lines = [f'{result["model"]} on {result["backend"]}, which can bear {result["capacity_fps"]} '
             'images per second here', '',
             f'| {" | ".join(_COLUMNS.values())} |', '|---' * len(_COLUMNS) + '|']
    return '\n'.join(lines + [f'| {" | ".join(str(row[name]) for name in _COLUMNS)} |'
                              for row in rows(result)])


def draw(path: Path, result: dict[str, Any]) -> None:
    """Latency, age and the share of images dropped, over the load; a PNG."""
    figure = _figure()(figsize=(7, 3), layout='constrained')
    loads = [load['load'] for load in result['loads']]
    times, drops = figure.subplots(1, 2)
    for name, label, style in (('p50', 'latency p50', 'o-'), ('p99', 'latency p99', 'o--'),
                               ('age', 'age p95', 's-'), ('bound', 'period + inference', 'k:')):
        times.plot(loads, [row[name] for row in rows(result)], style, label=label, markersize=3)
    times.set_ylabel('ms')
    times.set_ylim(0, 1.45 * times.get_ylim()[1])  # room for the legend
    times.legend(fontsize=8, loc='upper left')
    drops.plot(loads, [load['dropped'] / load['frames_in'] for load in result['loads']], 'o-')
    drops.set_ylabel('share of images dropped')
    drops.set_ylim(0, 1)
    for panel in (times, drops):
        panel.set_xlabel('images offered over what it can bear')
        panel.grid(alpha=0.3)
    figure.savefig(path, dpi=100, format='png')


def _figure() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise CommandError('--plot needs matplotlib: pip install matplotlib') from None
    return Figure

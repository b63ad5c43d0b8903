"""Write docs/benchmarks.md: the template's words, and tables of what was measured.

    python scripts/benchmarks_page.py                      # of the results there are
    python scripts/benchmarks_page.py --measure            # measure first what has no result yet
    python scripts/benchmarks_page.py --measure --again    # all of it anew
    python scripts/benchmarks_page.py --measure --again pipeline startup    # these anew

Interrupted, ``--measure`` goes on where it was. docs/benchmarks/page.md.in has blocks

    ```benchmark
    pipeline --rate 15
    pipeline --rate 45
    = fps: fps | latency ms: latency_ms.p50
    ```

of what follows ``dense-perception benchmark``; the line with = makes one row of each run, from
its JSON; without it a run is shown as the command shows it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import time
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / 'docs' / 'benchmarks'
TEMPLATE = RESULTS / 'page.md.in'
PAGE = ROOT / 'docs' / 'benchmarks.md'

_BLOCK = re.compile(r'^```benchmark\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_NOTE = ('<!-- Made by scripts/benchmarks_page.py of docs/benchmarks/: change the template there, '
         'not this. -->\n')


class PageError(Exception):
    """The page cannot be made; the message says why."""


def commands(template: str) -> list[str]:
    """What the template wants to be measured, in its order."""
    lines = [line for block in _BLOCK.findall(template) for line in block.splitlines()]
    return list(dict.fromkeys(line for line in lines if not line.startswith('=')))


def result_file(command: str, results: Path = RESULTS) -> Path:
    """Where the result of a command is kept."""
    return results / f'{re.sub(r"[^A-Za-z0-9.]+", "_", command).strip("_")}.json'


def measure(command: str, results: Path = RESULTS) -> None:
    """Run a benchmark and keep its result, with the day and the load of the machine.

    :raises PageError: it failed.
    """
    before, start = os.getloadavg()[0], time.monotonic()
    run = subprocess.run([sys.executable, '-m', 'dense_perception.cli.main', 'benchmark',
                          *shlex.split(command), '--json'], stdout=subprocess.PIPE, text=True,
                         cwd=ROOT, env=os.environ | {'PYTHONPATH': str(ROOT)})
    if run.returncode:
        raise PageError(f'"dense-perception benchmark {command}" failed')
    found = {'command': command, 'date': date.today().isoformat(),
             'seconds': round(time.monotonic() - start),
             'load': [round(before, 1), round(os.getloadavg()[0], 1)],
             'result': json.loads(run.stdout)}
    file = result_file(command, results)
    partial = file.with_suffix('.part')
    partial.write_text(json.dumps(_rounded(found), indent=1) + '\n')
    partial.replace(file)


def page(template: str, results: Path = RESULTS) -> str:
    """The whole page.

    :raises PageError: a result is missing, or has no such value.
    """
    return _NOTE + _BLOCK.sub(lambda match: _section(match[1].splitlines(), results), template)


def _section(lines: list[str], results: Path) -> str:
    wanted = [line for line in lines if not line.startswith('=')]
    runs = [_load(command, results) for command in wanted]
    shown = '\n'.join(f'dense-perception benchmark {command}' for command in wanted)
    columns = [line.removeprefix('=') for line in lines if line.startswith('=')]
    tables = ([_rows(runs, ' '.join(columns))] if columns else
              [_as_shown(run) for run in runs])
    return '\n\n'.join([f'```\n{shown}\n```', *tables, _circumstances(runs)])


def _load(command: str, results: Path) -> dict[str, Any]:
    try:
        return json.loads(result_file(command, results).read_text())
    except FileNotFoundError:
        raise PageError(f'"{command}" was not measured yet: run this with --measure') from None


def _as_shown(run: dict[str, Any]) -> str:
    name = shlex.split(run['command'])[0]
    return import_module(f'dense_perception.cli.benchmarks.{name}').markdown(run['result'])


def _rows(runs: list[dict[str, Any]], columns: str) -> str:
    pairs = [column.split(':') for column in columns.split('|')]
    names = [name.strip() for name, _ in pairs]
    lines = [f'| {" | ".join(names)} |', '|---' * len(names) + '|']
    for run in runs:
        values = [str(value(run['result'], path.strip())) for _, path in pairs]
        lines.append(f'| {" | ".join(values)} |')
    return '\n'.join(lines)


def value(result: Any, path: str) -> Any:
    """What a result holds under names joined by dots; names may have dots, the longest wins.

    :raises PageError: there is no such value.
    """
    found, rest = result, path.split('.')
    while rest:
        length = next((n for n in range(len(rest), 0, -1)
                       if isinstance(found, dict) and '.'.join(rest[:n]) in found), None)
        if length is None:
            raise PageError(f'a result has no value "{path}"')
        found, rest = found['.'.join(rest[:length])], rest[length:]
    return found


def _circumstances(runs: list[dict[str, Any]]) -> str:
    days = sorted({run['date'] for run in runs})
    hardware = sorted({run['result']['hardware'] for run in runs})
    loads = [value for run in runs for value in run['load']]
    return (f'{" and ".join(days)}, {"; ".join(hardware)}; load average before and after '
            f'{min(loads)} to {max(loads)}.')


def _rounded(value: Any) -> Any:
    """Four significant digits: more are noise, and make a change of every file."""
    if isinstance(value, float):
        return float(f'{value:.4g}')
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value


def main() -> int:
    """Measure what is asked for, write the page; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.
                                     RawDescriptionHelpFormatter)
    parser.add_argument('--measure', action='store_true', help='what has no result yet')
    parser.add_argument('--again', nargs='*', metavar='BENCHMARK',
                        help='drop the results of these benchmarks before; without names, all')
    args = parser.parse_args()
    template = TEMPLATE.read_text()
    wanted = commands(template)
    try:
        if args.again is not None:
            if not args.measure:
                raise PageError('--again is of use with --measure only')
            for command in wanted:
                if not args.again or shlex.split(command)[0] in args.again:
                    result_file(command).unlink(missing_ok=True)
        if args.measure:
            for command in wanted:
                if not result_file(command).exists():
                    print(f'dense-perception benchmark {command}', flush=True)
                    measure(command)
        PAGE.write_text(page(template))
    except PageError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())

"""Getting a model ready: what building and loading it costs, backend by backend."""

from __future__ import annotations

import argparse
import time
from typing import Any

from dense_perception.cli.command import CommandError
from dense_perception.inference.backends import (
    BACKENDS,
    PRECISIONS,
    BackendError,
    BackendOptions,
    open_backend,
    tensorrt,
)
from dense_perception.inference.backends.tensorrt_builder import BuildOptions, build_engine
from dense_perception.inference.model_file import ModelFile, ModelFileError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the benchmark."""
    parser.add_argument('--model', default='xnet_small',
                        help='shipped model or path of a model file (default: xnet_small)')
    parser.add_argument('--precision', action='append', choices=PRECISIONS,
                        help='may be given again (default: fp32 and fp16)')
    parser.add_argument('--target', default='SM89', metavar='SM',
                        help='what tensorrt_rtx builds for where there is no GPU (default: SM89)')


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds to build, seconds to load, megabytes; or why there are none."""
    try:
        model = ModelFile.open(args.model)
    except ModelFileError as error:
        raise CommandError(str(error)) from None
    results: dict[str, dict[str, Any]] = {}
    for backend in BACKENDS:
        engines = backend.startswith('tensorrt')
        for precision in (args.precision or ['fp32', 'fp16']) if engines else ['fp32']:
            try:
                row = (_engine(backend, model, precision, args.target) if engines
                       else _load(backend, model))
            except BackendError as error:
                row = {'skipped': str(error)}
            results[f'{backend} {precision}'] = row
    return {'model': model.card.name, 'results': results}


def markdown(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    lines = [f'{result["model"]}', '', '| | build s | load s | MB | |', '|---|---|---|---|---|']
    for name, row in result['results'].items():
        cells = [f'{row[key]:.2f}' if row.get(key) is not None else '-'
                 for key in ('build_s', 'load_s', 'mb')]
        lines.append(f'| {name} | {" | ".join(cells)} | {row.get("skipped", "")} |')
    return '\n'.join(lines)


def _load(backend: str, model: ModelFile) -> dict[str, Any]:
    start = time.perf_counter()
    open_backend(backend, model, BackendOptions())
    return {'build_s': None, 'load_s': time.perf_counter() - start,
            'mb': model.path.stat().st_size / 1e6}


def _engine(runtime: str, model: ModelFile, precision: str, target: str) -> dict[str, Any]:
    """Build anew, past the cache; where there is no GPU ahead of time for ``target``."""
    row: dict[str, Any] = {}
    targets: tuple[str, ...] = ()
    engines = None
    try:
        engines = tensorrt.Engines(runtime, model, precision)
    except BackendError as error:
        if runtime != 'tensorrt_rtx':
            raise
        tensorrt.installed(runtime)
        targets, row['skipped'] = (target,), f'built for {target}, not loaded: {error}'
    start = time.perf_counter()
    engine = build_engine(tensorrt.bindings(runtime), model.path, BuildOptions(precision, targets))
    row |= {'build_s': time.perf_counter() - start, 'mb': len(engine) / 1e6}
    if engines is not None:
        start = time.perf_counter()
        engines.open(engine)
        row['load_s'] = time.perf_counter() - start
    return row

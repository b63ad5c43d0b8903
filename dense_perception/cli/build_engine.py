"""``dense-perception build-engine``: the engine of a model file, built and compared with fp32."""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dense_perception.cli import accuracy
from dense_perception.cli.command import CommandError
from dense_perception.inference.backends import (
    PRECISIONS,
    Backend,
    BackendError,
    BackendOptions,
    open_backend,
    tensorrt,
)
from dense_perception.inference.backends.base import Progress
from dense_perception.inference.backends.tensorrt_builder import BuildOptions, build_engine
from dense_perception.inference.engine_cache import write_atomically
from dense_perception.inference.model_file import ModelFile, ModelFileError
from dense_perception.inference.predictor import Predictor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('model', help='shipped model or path of a model file')
    parser.add_argument('--backend', choices=('tensorrt', 'tensorrt_rtx', 'openvino'),
                        help='openvino has no engine: its precision is compared (default: '
                        'tensorrt; with --node the first that works there)')
    parser.add_argument('--precision', default='fp16', choices=PRECISIONS,
                        help='default: fp16')
    parser.add_argument('--target', action='append', default=[], metavar='SM',
                        help='with tensorrt_rtx, on a machine without GPU: compute capability to '
                        'build for, such as SM86; may be given again; needs --out')
    parser.add_argument('--out', type=Path, help='also write the engine here')
    parser.add_argument('--from', dest='source', type=Path, metavar='ENGINE',
                        help='do not build, but take this engine, which --target made elsewhere')
    parser.add_argument('--batch', type=int, default=1, metavar='N',
                        help='the most images at once, for multi_camera with N cameras, if the '
                        'model file takes any number (default: 1)')
    parser.add_argument('--node', metavar='NAME', help='let this running perception node build '
                        'it, such as /perception; of the options below none counts then')
    accuracy.add_sample_options(parser)


def run(args: argparse.Namespace) -> int:
    """Build, compare and keep; exit code 1 if the engine is refused."""
    if args.node:
        if args.out or args.source:
            raise CommandError('--node builds into the cache of its machine: leave out --out and '
                               '--from')
        from dense_perception.cli import engine_client
        return engine_client.build(args)
    if args.out and args.out == _sidecar(args.out):
        raise CommandError(f'{args.out} is the name of what is written beside the engine; give '
                           f'another, such as {args.out.with_suffix(".engine")}')
    args.backend = args.backend or 'tensorrt'
    try:
        model = ModelFile.open(args.model)
        if args.target:
            _ahead_of_time(model, args)
        elif args.backend == 'openvino':
            backend = open_backend('openvino', model, BackendOptions(precision=args.precision))
            _check(model, backend, args)
        else:
            _for_this_machine(model, args)
    except (ModelFileError, BackendError) as error:
        raise CommandError(str(error)) from None
    return 0


def _for_this_machine(model: ModelFile, args: argparse.Namespace) -> None:
    engines = tensorrt.Engines(args.backend, model, args.precision, args.batch)

    def check(backend: Backend) -> dict[str, Any]:
        return {'figures': _check(model, backend, args), 'refused': None}

    if args.source is not None:
        engine, about = _read(args.source, model, args)
        engines.keep(engine, {'built_elsewhere': about['key']}, check)
    else:
        with _bar() as progress:
            engines.build(progress, check, anew=True)
    print(f'{engines.cache.path}: for {engines.device.name}' if not engines.cache.problem
          else engines.cache.problem)
    if args.out is not None and not engines.cache.problem:
        _write(args.out, engines.cache.path.read_bytes(), engines.cache.about)


def _ahead_of_time(model: ModelFile, args: argparse.Namespace) -> None:
    """Build for GPUs that are elsewhere. Nothing can be compared: the engine does not run here."""
    if args.out is None:
        raise CommandError('--target needs --out: the cache is for engines of this machine')
    trt = tensorrt.ahead_of_time(args.backend)
    start = time.monotonic()
    with _bar() as progress:
        engine = build_engine(trt, model.path,
                              BuildOptions(args.precision, tuple(args.target), args.batch),
                              progress)
    _write(args.out, engine, {
        'key': _portable_key(trt, model, args), 'targets': args.target,
        'build_seconds': round(time.monotonic() - start, 1)})
    print(f'{args.out}: {len(engine) / 1e6:.1f} MB for {", ".join(args.target)}, not compared '
          f'with fp32: on the robot, "dense-perception build-engine {args.model} --backend '
          f'{args.backend} --precision {args.precision} --from {args.out.name}" does that')


def _portable_key(trt: Any, model: ModelFile, args: argparse.Namespace) -> dict[str, str]:
    key = tensorrt.engine_key(trt, model, None, args.precision, batch=args.batch)
    return {name: getattr(key, name) for name in (
        'model_sha256', 'runtime', 'runtime_version', 'precision', 'shapes')}


def _read(path: Path, model: ModelFile, args: argparse.Namespace) -> tuple[bytes, dict[str, Any]]:
    """An engine from elsewhere, if it is of this model, library and precision."""
    try:
        engine, about = path.read_bytes(), json.loads(_sidecar(path).read_text())
        made = about['key']
        whole = hashlib.sha256(engine).hexdigest() == about['sha256']
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandError(f'{path} and {_sidecar(path).name} are not what build-engine wrote: '
                           f'{error}') from None
    if not whole:
        raise CommandError(f'{path} is damaged or cut off: copy it again')
    for name, value in _portable_key(tensorrt.bindings(args.backend), model, args).items():
        if made.get(name) != value:
            raise CommandError(f'{path} was built with {name} {made.get(name)}, here it is '
                               f'{value}; build it again')
    return engine, about


def _write(path: Path, engine: bytes, about: dict[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, engine)
        about = about | {'sha256': hashlib.sha256(engine).hexdigest()}
        write_atomically(_sidecar(path), json.dumps(about, indent=1).encode())
    except OSError as error:
        raise CommandError(f'cannot write {path}: {error.strerror}') from None


def _sidecar(path: Path) -> Path:
    """As in the engine cache."""
    return path.with_suffix('.json')


def _check(model: ModelFile, backend: Backend, args: argparse.Namespace) -> dict[str, Any]:
    """Compare with ONNX Runtime in fp32.

    :raises BackendError: beyond the limits.
    """
    reference = open_backend('onnxruntime-cpu', model, BackendOptions())
    figures, problem = accuracy.compare(
        Predictor.on(model, reference), Predictor.on(model, backend), accuracy.samples(args), args)
    accuracy.write_report(args.report, f'{model.card.name} on {backend.name}', figures, problem)
    print(f'{model.card.name} on {backend.name} {accuracy.summary(figures)}')
    if problem:
        raise BackendError(f'refused: {problem}')
    return figures


class _bar:
    """A tqdm bar of percents as a progress callback."""

    def __enter__(self) -> Progress:
        self._bar = tqdm(total=100, desc='building', unit='%', leave=False)
        return self._show

    def __exit__(self, *failure: object) -> None:
        self._bar.close()

    def _show(self, share: float) -> bool:
        self._bar.update(round(100 * share) - self._bar.n)
        return True

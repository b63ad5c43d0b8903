"""The network alone: every backend that works here, and other options of ONNX Runtime."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any

import onnxruntime as ort

from dense_perception.cli.benchmarks.rounds import table, take_turns
from dense_perception.cli.command import CommandError
from dense_perception.cli.sample_inputs import sample_inputs
from dense_perception.inference.backends import (
    BACKENDS,
    Backend,
    BackendError,
    BackendOptions,
    open_backend,
)
from dense_perception.inference.backends.onnxruntime import OnnxRuntimeBackend, session_options
from dense_perception.inference.model_file import ModelFile, ModelFileError

_SHIPPED = 'as shipped'
_SPIN_US = 200


def _setting(name: str, value: object) -> Callable[[ort.SessionOptions], object]:
    if '.' in name:
        return lambda options: options.add_session_config_entry(name, str(value))
    return lambda options: setattr(options, name, value)


_CHANGES = {
    'spinning threads': _setting('session.intra_op.allow_spinning', 1),
    '1 thread': _setting('intra_op_num_threads', 1),
    'basic graph optimisation': _setting(
        'graph_optimization_level', ort.GraphOptimizationLevel.ORT_ENABLE_BASIC),
    'extended graph optimisation': _setting(  # all but the NCHWc layout
        'graph_optimization_level', ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED),
    'no arena': _setting('enable_cpu_mem_arena', False),
    'no memory pattern': _setting('enable_mem_pattern', False),
    'denormals as zero': _setting('session.set_denormal_as_zero', 1),
    'smaller blocks for late threads': _setting('session.dynamic_block_base', 4)}
"""What ONNX Runtime could be told otherwise, one at a time."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the benchmark."""
    parser.add_argument('--model', default='xnet_small',
                        help='shipped model or path of a model file (default: xnet_small)')
    parser.add_argument('--rounds', type=int, default=20, help='turns of 5 frames (default: 20)')


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Latency of one frame with the shipped options and with others."""
    try:
        model = ModelFile.open(args.model)
    except ModelFileError as error:
        raise CommandError(str(error)) from None
    inputs = sample_inputs(model.card)
    cores = len(os.sched_getaffinity(0))
    shipped = OnnxRuntimeBackend(model)
    sessions = {name: _session(model, change) for name, change in _CHANGES.items()}
    rivals = {_SHIPPED: lambda: shipped.run(inputs)} | {
        name: (lambda session=session: session.run(None, inputs))
        for name, session in sessions.items()}
    awake = OnnxRuntimeBackend(model, BackendOptions(spin_us=_SPIN_US))
    rivals[f'spin_us {_SPIN_US}'] = lambda: awake.run(inputs)
    backends, skipped = _backends(model)
    rivals |= {name: (lambda backend=backend: backend.run(inputs))
               for name, backend in backends.items()}
    height, width = model.card.input_size
    return {'model': model.card.name, 'size': f'{width}x{height}', 'cores': cores,
            'onnxruntime': ort.__version__, 'results': take_turns(rivals, args.rounds),
            'skipped': skipped}


def markdown(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    skipped = ''.join(f'\n\nWithout {name}: {why}.' for name, why in result['skipped'].items())
    return (f'{result["model"]} at {result["size"]}, ONNX Runtime {result["onnxruntime"]}, '
            f'{result["cores"]} cores\n\n' + table(result['results'], _SHIPPED) + skipped)


def _backends(model: ModelFile) -> tuple[dict[str, Backend], dict[str, str]]:
    """Backend and precision -> loaded, or why not. Engines are taken from the cache."""
    found: dict[str, Backend] = {}
    skipped: dict[str, str] = {}
    for name in BACKENDS[:-1]:  # the last is the one as shipped
        for precision in ('fp32', 'fp16' if name.startswith('tensorrt') else 'bf16'):
            if name == 'onnxruntime-cuda' and precision == 'bf16':
                continue
            try:
                found[f'{name} {precision}'] = open_backend(
                    name, model, BackendOptions(precision=precision))
            except BackendError as error:
                skipped[f'{name} {precision}'] = str(error)
    return found, skipped


def _session(model: ModelFile, change: Callable[[ort.SessionOptions], object]
             ) -> ort.InferenceSession:
    """A session as shipped but for one change."""
    options = session_options(BackendOptions().cpu_threads)
    change(options)
    return ort.InferenceSession(str(model.path), options, providers=['CPUExecutionProvider'])

"""``dense-perception quantise``: model file -> int8 model file, compared with it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dense_perception.cli import accuracy
from dense_perception.cli.command import CommandError
from dense_perception.inference.backends import BackendError, BackendOptions, open_backend
from dense_perception.inference.model_file import ModelFile, ModelFileError
from dense_perception.inference.predictor import Predictor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('model', help='shipped model or path of a model file')
    parser.add_argument('--out', type=Path, required=True, help='model file to write (.onnx)')
    parser.add_argument('--keep', action='append', default=[], metavar='PART',
                        help='part of a name: such nodes, and those with such weights, stay '
                        'float32; may be given again (default: stem, head)')
    parser.add_argument('--percentile', type=float, metavar='P',
                        help='clip activations beyond this percentile (99.99, say); default: none')
    accuracy.add_sample_options(parser)


def run(args: argparse.Namespace) -> int:
    """Quantise with half of the samples, compare on the others; write only if it is good."""
    from dense_perception.export.quantise import KEEP, QuantiseError, add_metrics, quantise
    if args.out.suffix != '.onnx':
        raise CommandError(f'{args.out} does not end in .onnx, by which runtimes know a model '
                           'file')
    args.count *= 2
    frames = accuracy.samples(args)
    if len(frames) < 2:
        raise CommandError(f'{args.samples} has one image: it takes some to find the ranges of '
                           'activations and others to compare on')
    partial = args.out.with_name(f'.{os.getpid()}.{args.out.name}')
    try:
        model = ModelFile.open(args.model)
        kept = quantise(model, _inputs(model, frames[::2]), partial,
                        args.out.stem, args.keep or KEEP, args.percentile)
        small = ModelFile.open(partial)
        figures, problem = accuracy.compare(
            _on_cpu(model), _on_cpu(small), frames[1::2], args)
        accuracy.write_report(args.report, f'{model.card.name} in int8', figures, problem)
        print(f'{model.card.name} in int8 {accuracy.summary(figures)}'
              + (f'; {len(kept)} nodes kept in float32' if kept else ''))
        if problem:
            raise CommandError(f'{args.out} is not written: {problem}')
        add_metrics(partial, int8_against_fp32=figures, int8_of_sha256=model.sha256)
        os.replace(partial, args.out)
    except (ModelFileError, BackendError, QuantiseError) as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        raise CommandError(f'cannot write {args.out}: {error.strerror}') from None
    finally:
        partial.unlink(missing_ok=True)
    print(f'{args.out}: {args.out.stat().st_size / 1e6:.1f} MB')
    return 0


def _on_cpu(model: ModelFile) -> Predictor:
    return Predictor.on(model, open_backend('onnxruntime-cpu', model, BackendOptions()))


class _Recorder:
    """A backend that keeps the graph inputs of the images that it is given."""

    name, max_batch, concurrency = 'recorder', 1, 1

    def __init__(self, model: ModelFile) -> None:
        self._outputs = {name: np.zeros((1, 1, 1), np.uint8) for name in model.card.outputs}
        self.inputs: dict[str, np.ndarray] = {}

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See ``backends.Backend``."""
        self.inputs = {name: value.copy() for name, value in inputs.items()}
        return self._outputs


def _inputs(model: ModelFile, frames: list) -> Iterator[dict[str, np.ndarray]]:
    """Graph inputs of frames, with and without their mount: ranges must cover both."""
    recorder = _Recorder(model)
    predictor = Predictor.on(model, recorder)
    for frame in frames:
        for mount in ([frame.mount, None] if model.card.takes_mount else [None]):
            predictor.predict(frame.image, frame.intrinsics, mount)
            yield recorder.inputs

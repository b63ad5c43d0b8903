"""Is a lower precision good enough? Compared on samples, reported, refused beyond limits."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2

from dense_perception.cli.command import CommandError
from dense_perception.inference.agreement import Agreement, Limits
from dense_perception.inference.predictor import Predictor
from dense_perception.metrics.depth import DepthAccuracy
from dense_perception.sources.base import Frame, SourceError
from dense_perception.sources.opening import KINDS, open_source
from dense_perception.sources.sampling import spread

_HELP = {'abs_rel': 'mean relative error of depth', 'labels_differ': 'share of other labels',
         'unknown_differ': 'share of pixels that only one of them calls unknown',
         'normals_degrees': 'mean angle between normals',
         'alpha_mad': 'mean difference of opacity'}


def add_sample_options(parser: argparse.ArgumentParser) -> None:
    """Where samples come from, the limits, and where the report goes."""
    parser.add_argument('--samples', default='demo', metavar='SOURCE',
                        help=f'images to compare on: {KINDS} (default: demo)')
    parser.add_argument('--count', type=int, default=32, help='how many images (default: 32)')
    for name, limit in vars(Limits()).items():
        parser.add_argument(f'--max-{name.replace("_", "-")}', type=float, default=limit,
                            dest=name, metavar='X', help=f'{_HELP[name]} (default: {limit:g})')
    parser.add_argument('--report', type=Path, metavar='PREFIX',
                        help='write the figures to PREFIX.md and PREFIX.json')


def samples(args: argparse.Namespace) -> list[Frame]:
    """``count`` frames, evenly spread over the source.

    :raises CommandError: the source cannot be read.
    """
    if args.count < 1:
        raise CommandError(f'--count {args.count} must be at least 1')
    try:
        return spread(open_source(args.samples), args.count)
    except SourceError as error:
        raise CommandError(str(error)) from None


def compare(reference: Predictor, candidate: Predictor, frames: Sequence[Frame],
            args: argparse.Namespace) -> tuple[dict[str, Any], str | None]:
    """Figures of ``candidate`` against ``reference``, and which are beyond the limits.

    Where the samples have true depth, ``abs_rel`` and ``d1`` of both against that are added.
    """
    agreement = Agreement(reference.card)
    truth = {'reference': DepthAccuracy(), 'candidate': DepthAccuracy()}
    for frame in frames:
        results = []
        for name, predictor in (('reference', reference), ('candidate', candidate)):
            prediction = predictor.predict(frame.image, frame.intrinsics, frame.mount)
            results.append(prediction.arrays)
            if frame.depth is not None and prediction.metric and prediction.depth is not None:
                size = prediction.depth.shape[::-1]
                truth[name].add(prediction.depth, cv2.resize(
                    frame.depth, size, interpolation=cv2.INTER_NEAREST))
        agreement.add(*results)
    figures: dict[str, Any] = agreement.figures()
    found = {name: accuracy.result() for name, accuracy in truth.items()}
    if found['reference'] and found['candidate']:
        for metric in ('abs_rel', 'd1'):
            figures[f'true_{metric}'] = {name: found[name][metric] for name in found}
            figures[f'true_{metric}']['change'] = (found['candidate'][metric]
                                                   - found['reference'][metric])
    return figures, agreement.problem(Limits(**{name: getattr(args, name)
                                                for name in vars(Limits())}))


def markdown(title: str, figures: dict[str, Any], problem: str | None) -> str:
    """The report."""
    rows = []
    for name, value in figures.items():
        if isinstance(value, dict):
            rows += [f'| {name}, {of} | {number:+.4f} |' if of == 'change'
                     else f'| {name}, {of} | {number:.4f} |' for of, number in value.items()]
        else:
            rows.append(f'| {name} | {value:.5g} |')
    verdict = f'Refused: {problem}.' if problem else 'Within the limits.'
    return '\n'.join([f'# {title}', '', verdict, '', '| against fp32 | |', '|---|---|', *rows, ''])


def write_report(prefix: Path | None, title: str, figures: dict[str, Any],
                 problem: str | None) -> None:
    """Write both files, if a prefix is given.

    :raises CommandError: they cannot be written.
    """
    if prefix is None:
        return
    from dense_perception.inference.engine_cache import write_atomically
    content = {'.md': markdown(title, figures, problem),
               '.json': json.dumps({'title': title, 'figures': figures, 'refused': problem},
                                   indent=1)}
    try:
        for suffix, text in content.items():
            write_atomically(prefix.with_name(prefix.name + suffix), text.encode())
    except OSError as error:
        raise CommandError(f'cannot write the report {prefix}: {error.strerror}') from None


def summary(figures: dict[str, Any]) -> str:
    """One line for the terminal."""
    shown = [f'{name} {figures[name]:.4f}' for name in
             ('abs_rel', 'max_error', 'd1', 'labels_differ', 'miou', 'normals_degrees',
              'alpha_mad')
             if name in figures]
    return f'against fp32 on {figures["images"]} images: ' + ', '.join(shown)

"""``dense-perception export``: weights -> model file."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from dense_perception.cli.command import CommandError
from dense_perception.cli.sizes import add_size_options, parse_sizes
from dense_perception.inference.card import ModelCard
from dense_perception.inference.model_file import DATA_SUFFIX


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('source', help='folder with weights.safetensors and card.json (a training '
                        'run, or what convert wrote); with --random-weights a variant')
    parser.add_argument('--out', type=Path, required=True, help='model file to write (.onnx)')
    add_size_options(parser)
    parser.add_argument('--half-weights', action='store_true',
                        help='store large weights as float16: half the file, computed in float32')
    parser.add_argument('--any-batch', action='store_true',
                        help='a file that takes any number of images at once, for several cameras '
                        'on a GPU, instead of one')
    parser.add_argument('--random-weights', action='store_true',
                        help='export a variant as it is before training: for timing, not for use')


def run(args: argparse.Namespace) -> int:
    """Export, check parity with PyTorch, and say how well it holds."""
    from dense_perception.export.cards import sized
    from dense_perception.export.weights import WeightsError, load_weights
    sizes = parse_sizes(args)
    try:
        if args.random_weights:
            model, card = _random(args.source)
        else:
            model, card = load_weights(Path(args.source))
        write(model, sized(card, **sizes), args.out, args.half_weights, args.any_batch)
    except (WeightsError, ValueError) as error:
        raise CommandError(str(error)) from None
    return 0


def write(model: object, card: ModelCard, out: Path, half_weights: bool,
          any_batch: bool = False) -> None:
    """Export to ``out`` and print size and parity; also the end of ``convert --export``.

    The model is folded for this size, and of no other use afterwards.

    :raises CommandError: it cannot be exported faithfully, or not written there.
    """
    from dense_perception.export.onnx_export import ExportError, export_model
    if out.suffix != '.onnx':
        raise CommandError(f'{out} does not end in .onnx, by which runtimes know a model file')
    try:
        parity = export_model(model, replace(card, name=out.stem), out, half_weights,
                              in_place=True, any_batch=any_batch)
    except ExportError as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        raise CommandError(f'cannot write {out}: {error.strerror}') from None
    data = out.with_name(out.name + DATA_SUFFIX)
    size = sum(file.stat().st_size for file in (out, data) if file.is_file())
    beside = f' (weights in {data.name}, which belongs beside it)' if data.is_file() else ''
    agreement = {'depth': f'relative depth error {parity.depth_error:.1e}',
                 'labels': f'labels that differ {parity.labels_differ:.1e}',
                 'normals': f'error of a normal {parity.normal_error:.1e}',
                 'alpha': f'error of an opacity {parity.alpha_error:.1e}'}
    said = ', '.join(text for name, text in agreement.items() if name in card.outputs)
    print(f'{out}: {card.input_width}x{card.input_height}, {size / 1e6:.1f} MB{beside}; against '
          f'PyTorch at worst: {said}')


def _random(variant: str) -> tuple[object, ModelCard]:
    from dense_perception.export.cards import card_for
    from dense_perception.models import create_model
    card = card_for(variant, training_data='none: random weights', licence='')
    return create_model(variant), card

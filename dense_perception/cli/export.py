"""``dense-perception export``: trained weights -> model file."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from dense_perception.cli.command import CommandError
from dense_perception.inference.card import CardError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('weights', type=Path,
                        help='folder with weights.safetensors and card.json (a training run)')
    parser.add_argument('--out', type=Path, required=True, help='model file to write (.onnx)')
    parser.add_argument('--size', help='input size HEIGHTxWIDTH; default: that of the card')
    parser.add_argument('--half-weights', action='store_true',
                        help='store large weights as float16: half the file, computed in float32')


def run(args: argparse.Namespace) -> int:
    """Export, check parity with PyTorch, and say how well it holds."""
    from dense_perception.export.onnx_export import ExportError, export_model
    from dense_perception.export.weights import WeightsError, load_weights
    try:
        model, card = load_weights(args.weights)
        if args.size:
            height, width = _size(args.size)
            card = replace(card, input_height=height, input_width=width)
        parity = export_model(model, replace(card, name=args.out.stem), args.out,
                              args.half_weights)
    except (WeightsError, CardError, ExportError) as error:
        raise CommandError(str(error)) from None
    print(f'{args.out}: {args.out.stat().st_size / 1e6:.1f} MB; against PyTorch: largest relative '
          f'depth error {parity.depth_error:.1e}, labels that differ {parity.labels_differ:.1e}')
    return 0


def _size(text: str) -> tuple[int, int]:
    try:
        height, width = (int(part) for part in text.lower().split('x'))
    except ValueError:
        raise CommandError(f'--size {text} is not HEIGHTxWIDTH, for example 256x320') from None
    return height, width

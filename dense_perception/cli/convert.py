"""``dense-perception convert``: a public checkpoint -> our weights and card, and a model file."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dense_perception.cli.command import CommandError
from dense_perception.cli.export import write
from dense_perception.cli.sizes import add_size_options, parse_sizes

if TYPE_CHECKING:
    from dense_perception.export.convert import Converted

_SHOWN = 6  # keys of a list that are printed without --verbose


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('source', nargs='?',
                        help='.pt, .pth, .bin or .safetensors file, Hugging Face folder, or name '
                        'on the hub (Intel/dpt-large)')
    parser.add_argument('--variant', help='what the checkpoint is, where it does not tell itself '
                        '(see "models list")')
    parser.add_argument('--base', metavar='FOLDER', help='for a U-Net alone (D3-Predictor, '
                        'CleanDIFT): folder of the Stable Diffusion 2.1 that it goes with, or its '
                        'name on the hub')
    for part in ('encoder', 'decoder'):
        parser.add_argument(f'--{part}-weights', metavar='FILE',
                            help=f'instead of a source: weights of timm for the {part} of '
                            '--variant, a file or "timm" for its published ones')
    parser.add_argument('--out', type=Path, metavar='FOLDER', help='where weights.safetensors and '
                        'card.json go; default without --export: a folder of the name')
    parser.add_argument('--export', type=Path, metavar='FILE', help='model file to write (.onnx)')
    add_size_options(parser)
    parser.add_argument('--half-weights', action='store_true',
                        help='in the model file, store large weights as float16')
    parser.add_argument('--name', help='of the model; default: that of the source')
    parser.add_argument('--licence', help='of the weights; default: what the source or the '
                        'registry says')
    parser.add_argument('--report', type=Path, metavar='FILE',
                        help='write all missing and unexpected keys there, as JSON')
    parser.add_argument('--verbose', action='store_true', help='print key lists in full')


def run(args: argparse.Namespace) -> int:
    """Convert, say what fitted, and write what was asked for."""
    from dense_perception.export.weights import save_weights
    sizes = parse_sizes(args)
    if args.export and args.export.suffix != '.onnx':
        raise CommandError(f'--export {args.export} does not end in .onnx')
    converted = _converted(args, sizes)
    _say(converted, args)
    card = converted.card
    if args.out or not args.export:
        out = args.out or Path(card.name)
        try:
            save_weights(converted.model, card, out)
        except OSError as error:
            raise CommandError(f'cannot write {out}: {error.strerror or error}') from None
        print(f'{out}: weights and card')
    if args.export:
        write(converted.model, card, args.export, args.half_weights)
    return 0


def _converted(args: argparse.Namespace, sizes: dict[str, Any]) -> Converted:
    from dense_perception.export.cards import sized
    from dense_perception.export.convert import assemble, convert
    parts = {part: value for part in ('encoder', 'decoder')
             if (value := getattr(args, f'{part}_weights'))}
    if bool(parts) == bool(args.source):
        raise CommandError('give either a checkpoint or --encoder-weights and --decoder-weights')
    if parts and not args.variant:
        raise CommandError('--encoder-weights and --decoder-weights need --variant, the model '
                           'that they are for')
    fields: dict[str, Any] = {'name': args.name or _name(args.source or args.variant)}
    if args.licence:
        fields['licence'] = args.licence
    if sizes['size']:
        fields['input_height'], fields['input_width'] = sizes['size']
    try:
        found = (assemble(args.variant, parts, **fields) if parts
                 else convert(args.source, args.variant, args.base, **fields))
        return replace(found, card=sized(found.card, image_size=sizes['image_size']))
    except ValueError as error:
        raise CommandError(str(error)) from None


def _say(converted: Converted, args: argparse.Namespace) -> None:
    """Print what the model is and which keys did not fit.

    :raises CommandError: keys are missing: what is left of the model would be random.
    """
    report, card = converted.report, converted.card
    if args.report:
        partial = args.report.with_name(f'{args.report.name}.partial')
        try:
            partial.write_text(json.dumps({
                'source': args.source, 'kind': converted.kind, 'variant': card.variant,
                'options': dict(card.options), **asdict(report)}, indent=1))
            os.replace(partial, args.report)
        except OSError as error:
            raise CommandError(f'cannot write {args.report}: {error.strerror}') from None
    params = sum(p.numel() for p in converted.model.parameters())
    print(f'{card.variant} from {converted.kind}: {params:,} parameters, '
          f'{len(report.missing)} keys missing, {len(report.unexpected)} unexpected')
    if report.unexpected:
        print(f'  without use: {_listed(report.unexpected, args.verbose)}')
    if report.missing:
        raise CommandError(
            f'the checkpoint lacks {len(report.missing)} keys of {card.variant}: '
            f'{_listed(report.missing, args.verbose)}; nothing was written')


def _listed(keys: tuple[str, ...], everything: bool) -> str:
    shown = keys if everything else keys[:_SHOWN]
    rest = len(keys) - len(shown)
    return ', '.join(shown) + (f' and {rest} more (--verbose or --report lists them)' if rest
                               else '')


def _name(source: str) -> str:
    name = Path(source).resolve().name if Path(source).exists() else source.rpartition('/')[2]
    return Path(name).stem if Path(name).suffix in (
        '.pt', '.pth', '.bin', '.safetensors', '.ckpt') else name

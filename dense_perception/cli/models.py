"""``dense-perception models``: what can be built, what is shipped, what a file says of itself."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from dense_perception.cli.command import CommandError
from dense_perception.inference.model_file import ModelFile, ModelFileError, list_shipped


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest='action', required=True, metavar='list|info')
    lister = actions.add_parser('list', help='shipped model files and variants to train')
    lister.add_argument('pattern', nargs='?', default='*', help="shell pattern, e.g. 'xnet*'")
    info = actions.add_parser('info', help='the card of a model file, as JSON')
    info.add_argument('model', help='model file or name of a shipped model')


def run(args: argparse.Namespace) -> int:
    """List models or print a card."""
    if args.action == 'info':
        return _info(args.model)
    print('shipped model files:')
    for name in list_shipped():
        print(f'  {name}')
    # Robots have no torch; there the list ends with what can be run.
    try:
        from dense_perception.models import list_models
    except ModuleNotFoundError as error:
        print(f'variants to train: not listed, {error.name} is not installed (models extra)')
        return 0
    print('variants to train:')
    for name in list_models(args.pattern):
        print(f'  {name}')
    return 0


def _info(model: str) -> int:
    try:
        found = ModelFile.open(model)
    except ModelFileError as error:
        raise CommandError(str(error)) from None
    print(json.dumps({'file': str(found.path), 'sha256': found.sha256,
                      'card': asdict(found.card)}, indent=1))
    return 0

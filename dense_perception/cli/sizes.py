"""The two ways to say a size on the command line, and the option pair that export offers."""

from __future__ import annotations

import argparse

from dense_perception.cli.command import CommandError


def add_size_options(parser: argparse.ArgumentParser) -> None:
    """``--size`` and ``--image-size``, which exclude each other."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument('--size', metavar='HxW',
                       help='input size of the network, HEIGHTxWIDTH; default: that of the card')
    group.add_argument('--image-size', metavar='WxH',
                       help="size of the camera's images, WIDTHxHEIGHT: the network's follows by "
                       "the model's resize rule")


def parse_sizes(args: argparse.Namespace) -> dict[str, tuple[int, int] | None]:
    """Both options as (height, width), as ``export.cards.sized`` takes them.

    :raises CommandError: a size that is none.
    """
    image = args.image_size and parse_size('--image-size', args.image_size, '640x480')
    return {'size': parse_size('--size', args.size, '256x320') if args.size else None,
            'image_size': image[::-1] if image else None}


def parse_size(option: str, text: str, example: str) -> tuple[int, int]:
    """Two positive whole numbers with an x between them, in the order they are written.

    :raises CommandError: they are not; the message shows ``example``.
    """
    parts = text.lower().split('x')
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() and int(part)
                                  for part in parts):
        raise CommandError(f'{option} {text} is not a size such as {example}')
    return int(parts[0]), int(parts[1])

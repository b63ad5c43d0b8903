"""The command ``dense-perception``: its subcommands are imported only when they are asked for."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

from dense_perception.cli import interrupts
from dense_perception.cli.command import CommandError

COMMANDS = {
    'demo': 'play a source through the perception node, then picture and measure the result',
    'view': 'show a running graph live: camera, depth, mask, cloud, times',
    'doctor': 'look for what is wrong with this machine, graph and camera',
    'evaluate': 'replay a bag through the perception node and compare with its own truth',
    'benchmark': 'measure the pipeline, the cloud or a model on this machine',
    'models': 'list model files and variants, or say everything about one of them',
    'convert': 'turn a public checkpoint into weights, card and model file',
    'export': 'write a model file from weights',
    'quantise': 'write an int8 model file from a model file, compared with it',
    'build-engine': 'build and check the TensorRT engine of a model file, before a robot needs it',
    'explain': 'picture what an xNet-I mixes into an image, or the clusters of a PolyMaX',
}
"""Subcommand -> summary. Module ``dense_perception.cli.<subcommand>``, with _ for -, has
``add_arguments`` and ``run``, which takes the parsed arguments and returns the exit code."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; exit code 0, 1 for a failure said in one sentence, 2 for wrong usage."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    interrupts.install()
    try:
        with interrupts.unmasked():
            code = _run(arguments)
        sys.stdout.flush()
        return code
    except CommandError as error:
        print(f'dense-perception: {error}', file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith('dense_perception.'):
            raise
        print(f'dense-perception: "{arguments[0]}" needs the Python package {error.name}, which '
              'is not installed; the README says which extra brings it', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('dense-perception: interrupted', file=sys.stderr)
        return 130
    except BrokenPipeError:
        # What read the output has read enough ("| head"); Python would complain again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog='dense-perception',
        description='Camera images to metric depth, semantic masks and point clouds.')
    subparsers = parser.add_subparsers(dest='command', required=True, metavar='command')
    module = None
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary, description=summary.capitalize())
        if arguments[:1] == [name]:
            module = import_module(f'dense_perception.cli.{name.replace("-", "_")}')
            module.add_arguments(subparser)
    parsed = parser.parse_args(arguments)
    assert module is not None  # parse_args has ended the process for anything else
    return module.run(parsed)


if __name__ == '__main__':
    sys.exit(main())

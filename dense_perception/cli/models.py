"""``dense-perception models``: what can be built, what is shipped, what a file says of itself."""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dense_perception.cli.command import CommandError
from dense_perception.inference.card import ModelCard
from dense_perception.inference.model_file import ModelFile, ModelFileError, list_shipped

COUNTED = Path(__file__).resolve().parents[1] / 'assets' / 'variants.json'
_HEADINGS = ('name', 'task', 'size', 'parameters', 'GMACs', 'paper')
_NO_VARIANTS = 'not listed, torch or timm is not installed (models extra)'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest='action', required=True, metavar='list|info')
    lister = actions.add_parser('list', help='shipped model files and variants to build')
    lister.add_argument('filter', nargs='?', default='',
                        help="part of a name, or a shell pattern such as 'xnet*nyu'")
    info = actions.add_parser('info', help='everything about a model file or a variant')
    info.add_argument('model', help='model file, shipped model or variant')
    for action, what in ((lister, 'a list of objects, with parameters and GMACs'),
                         (info, 'one object')):
        action.add_argument('--json', action='store_true', help=f'as JSON: {what}')


def run(args: argparse.Namespace) -> int:
    """List models or describe one."""
    if args.action == 'info':
        found = _info(args.model)
        print(json.dumps(found, indent=1) if args.json else '\n'.join(_lines(found)))
    elif args.json:
        print(json.dumps(_objects(args.filter), indent=1))
    else:
        _print_list(args.filter)
    return 0


def _print_list(text: str) -> None:
    """Names, and facts that need no model to be built."""
    print('shipped model files:')
    for name in _matching(list_shipped(), text):
        print(f'  {name}')
    registry = _registry()
    if registry is None:
        print(f'variants: {_NO_VARIANTS}')
        return
    counted = _counted()
    rows = [_HEADINGS, *(_row(registry.model_entry(name), counted.get(name))
                         for name in _matching(registry.list_models(), text))]
    widths = [max(map(len, column)) for column in zip(*rows)]
    print('variants:')
    for row in rows:
        print('  ' + '  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def _row(entry: Any, counted: dict[str, Any] | None) -> tuple[str, ...]:
    known = _described(entry)
    costs = (f'{counted["params"]:,}', f'{counted["gmacs"]:.1f}') if counted else ('-', '-')
    return known['name'], known['task'], known['size'], *costs, known['paper']


def _objects(text: str) -> list[dict[str, Any]]:
    """One object per name; ``model_file`` is the path of the shipped file of that name."""
    files = {}
    for name in _matching(list_shipped(), text):
        model = ModelFile.open(name)
        files[name] = _of_card(model.card) | {'model_file': str(model.path)}
    registry = _registry()
    if registry is None:
        print(f'variants: {_NO_VARIANTS}', file=sys.stderr)
    names = _matching(registry.list_models(), text) if registry else []
    from tqdm import tqdm
    variants = {}
    for name in tqdm(names, 'counting', file=sys.stderr, disable=not sys.stderr.isatty()):
        variants[name] = _described(registry.model_entry(name)) | _costs(name) | {
            'model_file': files.get(name, {}).get('model_file')}
    return sorted((files | variants).values(), key=lambda found: found['name'])


def _info(model: str) -> dict[str, Any]:
    """A model file with its card, or a variant; files come first."""
    try:
        found = ModelFile.open(model)
    except ModelFileError as error:
        registry = _registry()
        if model.endswith('.onnx'):
            raise CommandError(str(error)) from None
        if registry is None:
            raise CommandError(f'{error}; variants: {_NO_VARIANTS}') from None
        try:
            return _described(registry.model_entry(model)) | _costs(model)
        except ValueError as unknown:
            raise CommandError(f'{error}; and {unknown}') from None
    card = found.card
    costs = {}
    if (registry := _registry()) and card.variant in registry.list_models():
        # Without what an older or newer release called otherwise, the card says enough.
        with contextlib.suppress(TypeError, ValueError):
            costs = _costs(card.variant, card.options, card.input_size)
    return {'file': str(found.path), 'sha256': found.sha256, **costs, 'card': asdict(card)}


def _described(entry: Any) -> dict[str, Any]:
    """What the registry says of a variant; several tasks are joined by "+"."""
    return {'name': entry.name, 'system': entry.system, 'task': '+'.join(entry.tasks),
            'size': f'{entry.input.width}x{entry.input.height}', 'input': asdict(entry.input),
            'depth_convention': entry.depth_convention, 'licence': entry.licence,
            'paper': entry.paper}


def _of_card(card: ModelCard) -> dict[str, Any]:
    """The same of a shipped file, for machines without torch; nothing is counted there."""
    spec = {'height': card.input_height, 'width': card.input_width,
            'multiple': card.size_multiple, 'resize': card.resize,
            'interpolation': card.interpolation, 'mean': card.mean, 'std': card.std,
            'brightness': card.brightness}
    return {'name': card.name, 'system': card.system, 'task': '+'.join(card.tasks),
            'size': f'{card.input_width}x{card.input_height}', 'input': spec,
            'depth_convention': card.depth_convention, 'licence': card.licence, 'paper': '',
            'params': None, 'gmacs': None, 'gmacs_attention': None}


def _costs(variant: str, options: Any = None, size: tuple[int, int] | None = None,
           ) -> dict[str, Any]:
    """Parameters (exact) and GMACs at ``size`` (height, width) or the variant's own."""
    if not options and size is None and variant in (counted := _counted()):
        return counted[variant]
    return count(variant, options, size)


def count(variant: str, options: Any = None, size: tuple[int, int] | None = None,
          ) -> dict[str, Any]:
    """The same, counted and not looked up."""
    from dense_perception.models import model_entry
    from dense_perception.models.complexity import complexity, meta_model
    spec = model_entry(variant).input
    costs = complexity(meta_model(variant, **(options or {})),
                       *(size or (spec.height, spec.width)))
    return {'params': costs.params, 'gmacs': round(costs.macs / 1e9, 3),
            'gmacs_attention': round(costs.attention_macs / 1e9, 3)}


def _counted() -> dict[str, dict[str, Any]]:
    """What ``scripts/count_variants.py`` counted; to count all of them again takes a minute."""
    return json.loads(COUNTED.read_text(encoding='utf-8')) if COUNTED.exists() else {}


def _registry() -> Any:
    """The models package, or None on a robot, which has no torch."""
    try:
        import dense_perception.models as registry
    except ModuleNotFoundError:
        return None
    return registry


def _matching(names: Iterable[str], text: str) -> list[str]:
    pattern = text if set('*?[') & set(text) else f'*{text}*'
    return fnmatch.filter(names, pattern)


def _lines(found: dict[str, Any], indent: str = '') -> list[str]:
    """Key and value per line; what is empty is left out, long lists are cut."""
    lines = []
    for key, value in found.items():
        if isinstance(value, dict) and value:
            lines += [f'{indent}{key}:', *_lines(value, indent + '  ')]
        elif isinstance(value, (list, tuple)) and value and isinstance(value[0], dict):
            shown = ', '.join(str(item.get('name', item)) for item in value[:12])
            rest = f', ... ({len(value)} in all)' if len(value) > 12 else ''
            lines.append(f'{indent}{key}: {shown}{rest}')
        elif value not in (None, '', [], (), {}):
            lines.append(f'{indent}{key}: {value}')
    return lines

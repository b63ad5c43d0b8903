"""Networks side by side: registered models with random weights, one process, taking turns."""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from dense_perception.cli.benchmarks.rounds import take_turns
from dense_perception.cli.benchmarks.torch_device import choose_device, name_device, wait_for
from dense_perception.cli.command import CommandError
from dense_perception.cli.sizes import parse_size

_RIVALS = 'xnet_dinov2l_convnextv2b_kitti,depth_anything_v2_large,dpt_large'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the benchmark."""
    parser.add_argument('--models', default=_RIVALS, metavar='A,B,...',
                        help=f'variants, the first is what the ratios refer to ({_RIVALS})')
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument('--image-size', default='1216x352', metavar='WxH',
                       help="a camera's images, WIDTHxHEIGHT: each network at the size that its "
                       'own resize rule makes of them (default: 1216x352, KITTI)')
    sizes.add_argument('--size', metavar='HxW', help='all networks at this input size instead')
    parser.add_argument('--runtime', default='torch', choices=('torch', 'onnxruntime'),
                        help='torch: eager, as published; onnxruntime: the exported model file')
    parser.add_argument('--device', default='auto', choices=('auto', 'cpu', 'cuda'),
                        help='of torch; auto: cuda where there is a GPU')
    parser.add_argument('--threads', type=int, default=0,
                        help='CPU threads; 0 = one for each core this process may use')
    parser.add_argument('--rounds', type=int, default=5,
                        help='turns of one image each, after one untimed (default: 5)')


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Time of one image for each network, with its parameters and multiply-adds."""
    names = args.models.split(',')
    sizes = _sizes(names, args)
    device, threads = _device(args)
    with ExitStack() as stack:
        rivals = {name: _torch_rival(name, sizes[name], device) if args.runtime == 'torch'
                  else _onnx_rival(name, sizes[name], threads, stack) for name in names}
        times = take_turns(rivals, args.rounds, calls_per_turn=1, warm_ups=1)
    results = {name: _facts(name, sizes[name]) | times[name] for name in names}
    first = results[names[0]]
    for found in results.values():
        found['fps'] = 1e3 / found['p50_ms']
        found |= {f'{what}_ratio': found[key] / first[key]
                  for what, key in (('time', 'p50_ms'), ('cpu', 'cpu_ms'), ('mac', 'gmacs'))}
    return {'of': args.size or args.image_size, 'equal_input': args.size is not None,
            'runtime': f'{args.runtime} {_version(args.runtime)}',
            'device': name_device(device, threads), 'reference': names[0], 'results': results}


def markdown(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    where = (f'all at {result["of"]} (height x width)' if result['equal_input']
             else f'images of {result["of"]}, each by its own preprocessing')
    lines = [f'Networks alone, random weights, {where}; {result["runtime"]}, {result["device"]}, '
             f'float32; ratios are to {result["reference"]}', '',
             '| | input | parameters | GMACs | p50 ms | CPU ms | FPS | time ratio | CPU ratio '
             '| GMAC ratio |', '|---|---|---|---|---|---|---|---|---|---|']
    for name, found in result['results'].items():
        lines.append(
            f'| {name} | {found["input"]} | {found["params"]:,} | {found["gmacs"]:.1f} '
            f'| {found["p50_ms"]:.0f} | {found["cpu_ms"]:.0f} | {found["fps"]:.2f} '
            f'| {found["time_ratio"]:.2f} | {found["cpu_ratio"]:.2f} '
            f'| {found["mac_ratio"]:.2f} |')
    return '\n'.join(lines)


def _sizes(names: list[str], args: argparse.Namespace) -> dict[str, tuple[int, int]]:
    """Network size (height, width) of every model; one that stretches has only its own."""
    from dense_perception.export.cards import card_for
    from dense_perception.inference.resize import network_size
    try:
        cards = {name: card_for(name) for name in names}
    except ValueError as error:
        raise CommandError(str(error)) from None
    if not args.size:
        width, height = parse_size('--image-size', args.image_size, '1216x352')
        return {name: network_size((height, width), card) for name, card in cards.items()}
    size = parse_size('--size', args.size, '448x672')
    multiple = math.lcm(*(card.size_multiple for card in cards.values()))
    if size[0] % multiple or size[1] % multiple:
        better = 'x'.join(str(max(round(side / multiple), 1) * multiple) for side in size)
        raise CommandError(f'--size {args.size} does not suit all of these networks, which need '
                           f'multiples of {multiple}: take {better}')
    return dict.fromkeys(names, size)


def _torch_rival(name: str, size: tuple[int, int], device: str) -> Callable[[], object]:
    import torch

    from dense_perception.models import create_model
    from dense_perception.models.complexity import input_channels
    model = create_model(name).eval().to(device)
    image = torch.randn(1, input_channels(model), *size, device=device)

    def call() -> object:
        with torch.inference_mode():
            outputs = model(image)
        wait_for(device)
        return outputs

    return call


def _onnx_rival(name: str, size: tuple[int, int], threads: int,
                stack: ExitStack) -> Callable[[], object]:
    """The model file in the backend that the node uses, exported to a temporary folder."""
    import numpy as np

    from dense_perception.export.cards import card_for, sized
    from dense_perception.export.onnx_export import export_model
    from dense_perception.export.parity import example_inputs
    from dense_perception.inference.backends import BackendOptions, open_backend
    from dense_perception.inference.model_file import ModelFile
    from dense_perception.models import create_model
    path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / f'{name}.onnx'
    card = sized(card_for(name), size)
    export_model(create_model(name), card, path, in_place=True)
    backend = open_backend('onnxruntime-cpu', ModelFile.open(path), BackendOptions(threads))
    inputs = example_inputs(card, np.random.default_rng(0))
    return lambda: backend.run(inputs)


def _facts(name: str, size: tuple[int, int]) -> dict[str, Any]:
    from dense_perception.models.complexity import complexity, meta_model
    costs = complexity(meta_model(name), *size)
    return {'input': f'{size[1]}x{size[0]}', 'params': costs.params, 'gmacs': costs.macs / 1e9}


def _device(args: argparse.Namespace) -> tuple[str, int]:
    if args.runtime != 'onnxruntime':
        return choose_device(args.device, args.threads)
    if args.device == 'cuda':
        raise CommandError('the ONNX Runtime backend computes on the CPU; for a GPU take '
                           '--runtime torch')
    return choose_device('cpu', args.threads)


def _version(runtime: str) -> str:
    return __import__(runtime).__version__

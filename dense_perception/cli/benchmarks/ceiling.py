"""One network in torch, image to outputs, against the fastest matrix products of the device."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from dense_perception.cli.benchmarks.rounds import take_turns
from dense_perception.cli.benchmarks.torch_device import choose_device, name_device, wait_for
from dense_perception.cli.command import CommandError
from dense_perception.cli.sizes import parse_size

if TYPE_CHECKING:
    import torch

    from dense_perception.inference.card import ModelCard

    _Network = Callable[..., dict[str, torch.Tensor]]

_PRECISIONS = {'fp32': 'float32', 'bf16': 'bfloat16', 'fp16': 'float16'}
_WAYS = ('eager', 'graphed', 'compiled')
_SIDE = {'cpu': 1024, 'cuda': 8192}  # of the matrices, as many as keep the device busy
_PRODUCTS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the benchmark."""
    parser.add_argument('--model', default='xnet_swinl_convnextb_kitti',
                        help='variant, with random weights (xnet_swinl_convnextb_kitti)')
    parser.add_argument('--size', metavar='HxW', help="input size (default: the variant's)")
    parser.add_argument('--precisions', nargs='+', choices=tuple(_PRECISIONS),
                        help='default: all on a GPU, fp32 on a CPU; fp32 is without TF32')
    parser.add_argument('--ways', nargs='+', choices=_WAYS,
                        help='eager; graphed: replayed as a CUDA graph; compiled: torch.compile '
                        '(default: all on a GPU, eager on a CPU)')
    parser.add_argument('--device', default='auto', choices=('auto', 'cpu', 'cuda'),
                        help='auto: cuda where there is a GPU')
    parser.add_argument('--threads', type=int, default=0,
                        help='CPU threads; 0 = one for each core this process may use')
    parser.add_argument('--rounds', type=int, default=20, help='turns of one image (default: 20)')


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Time of one image for each precision and way, and its share of the ceiling."""
    import torch

    from dense_perception.export.cards import card_for, sized
    from dense_perception.models.complexity import complexity, meta_model
    device, threads = choose_device(args.device, args.threads)
    precisions = args.precisions or list(_PRECISIONS)[:None if device == 'cuda' else 1]
    ways = args.ways or (_WAYS if device == 'cuda' else _WAYS[:1])
    if device == 'cpu' and 'graphed' in ways:
        raise CommandError('--ways graphed replays a CUDA graph and needs a GPU')
    try:
        card = card_for(args.model)
        if args.size:
            card = sized(card, parse_size('--size', args.size, '352x1216'))
    except ValueError as error:
        raise CommandError(str(error)) from None
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    gmacs = complexity(meta_model(args.model), *card.input_size).macs / 1e9
    ceilings = {name: _ceiling(getattr(torch, _PRECISIONS[name]), device) for name in precisions}
    rivals = {f'{name} {way}': _rival(args.model, card, getattr(torch, _PRECISIONS[name]), way,
                                      device) for name in precisions for way in ways}
    results = take_turns(rivals, args.rounds, calls_per_turn=1, warm_ups=3)
    for key, found in results.items():
        found['ceiling_tflops'] = ceilings[key.split()[0]]
        found['share'] = 2 * gmacs / (found['p50_ms'] * found['ceiling_tflops'])
    height, width = card.input_size
    return {'model': args.model, 'size': f'{height}x{width}', 'gmacs': gmacs,
            'torch': torch.__version__, 'device': name_device(device, threads),
            'reference': next(iter(results)), 'results': results}


def markdown(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    first = result['results'][result['reference']]['p50_ms']
    lines = [f'{result["model"]} at {result["size"]} (height x width), {result["gmacs"]:.1f} '
             f'GMACs, random weights, from a uint8 image of the host to outputs on the host; '
             f'torch {result["torch"]}, {result["device"]}', '',
             f'| | min ms | p50 ms | p95 ms | times faster than {result["reference"]} '
             '| matrix products, TFLOP/s | share of them |', '|---|---|---|---|---|---|---|']
    lines += [f'| {name} | {found["min_ms"]:.2f} | {found["p50_ms"]:.2f} | {found["p95_ms"]:.2f} '
              f'| {first / found["p50_ms"]:.2f} | {found["ceiling_tflops"]:.3g} '
              f'| {found["share"]:.0%} |' for name, found in result['results'].items()]
    return '\n'.join(lines)


def _ceiling(dtype: torch.dtype, device: str) -> float:
    """TFLOP/s of the fastest of some products of large square matrices."""
    import torch
    side = _SIDE[device]
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    fastest = float('inf')
    for _ in range(_PRODUCTS):
        start = time.perf_counter()
        torch.mm(left, right)
        wait_for(device)
        fastest = min(fastest, time.perf_counter() - start)
    return 2e-12 * side ** 3 / fastest


def _rival(name: str, card: ModelCard, dtype: torch.dtype, way: str,
           device: str) -> Callable[[], object]:
    """The graph of a model file in torch, from and to the host's memory."""
    import numpy as np
    import torch

    from dense_perception.export.graph import DeployGraph
    from dense_perception.export.parity import example_inputs
    from dense_perception.models import create_model
    model = create_model(name).eval().to(device, dtype)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.register_forward_pre_hook(lambda _, x: (x[0].to(dtype),))
    model.register_forward_hook(lambda _, x, out: {k: v.float() for k, v in out.items()})
    run: _Network = DeployGraph(model, card)
    host = [torch.from_numpy(value) for value in
            example_inputs(card, np.random.default_rng(0)).values()]
    if device == 'cuda':
        host = [value.pin_memory() for value in host]
    if way == 'compiled':
        run = torch.compile(run, mode='reduce-overhead')
    elif way == 'graphed':
        run = _graphed(run, host)

    def call() -> object:
        with torch.inference_mode():
            outputs = run(*(value.to(device, non_blocking=True) for value in host))
            return {key: value.cpu() for key, value in outputs.items()}

    return call


def _graphed(run: _Network, example: Sequence[torch.Tensor]) -> _Network:
    """The same, its kernels recorded once and launched together."""
    import torch
    inputs = [value.cuda() for value in example]
    with torch.inference_mode():
        beside = torch.cuda.Stream()
        with torch.cuda.stream(beside):  # libraries choose and allocate before it is recorded
            for _ in range(3):
                run(*inputs)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = run(*inputs)

    def replay(*values: torch.Tensor) -> dict[str, torch.Tensor]:
        for ours, given in zip(inputs, values, strict=True):
            ours.copy_(given, non_blocking=True)
        graph.replay()
        return outputs

    return replay

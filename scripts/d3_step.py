"""Time and memory of one training step of a D3-Predictor, with its alignment and without it.

    python scripts/d3_step.py d3_tiny_depth --side 128 --batch 2
    python scripts/d3_step.py d3_depth --side 768 --device cuda --precision bf16

Weights are random: neither time nor memory depends on them. On a CPU seconds are CPU time.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from dense_perception.models import create_model


def step(model: Any, alignment: nn.Module | None, x: torch.Tensor,
         optimiser: torch.optim.Optimizer, precision: str) -> None:
    """One step of the optimiser; the task's loss is an MSE, which costs nothing beside it."""
    bf16 = torch.autocast(x.device.type, torch.bfloat16) if precision == 'bf16' else (
        contextlib.nullcontext())
    with bf16:
        outputs = model(x)
        loss = outputs[model.config.output].float().square().mean()
        if alignment is not None:
            loss = loss + alignment(outputs['latent'], outputs['features'])
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()


def seconds(work: Callable[[], None], repeats: int, cuda: bool) -> float:
    """Median of some calls, after one that allocates; on a CPU of its time, whoever shares it."""
    clock = time.perf_counter if cuda else time.process_time
    times = []
    for _ in range(repeats + 1):
        start = clock()
        work()
        if cuda:
            torch.cuda.synchronize()
        times.append(clock() - start)
    return statistics.median(times[1:])


def gigabytes(*modules: nn.Module) -> float:
    """Of the parameters, as they are held."""
    return sum(p.numel() * p.element_size() for m in modules for p in m.parameters()) / 1e9


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('variant')
    parser.add_argument('--side', type=int, default=768, help='pixels of the square images')
    parser.add_argument('--batch', type=int, default=1)
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--device', default='cpu', choices=('cpu', 'cuda'))
    parser.add_argument('--precision', default='fp32', choices=('fp32', 'bf16'))
    parser.add_argument('--checkpointing', action='store_true')
    args = parser.parse_args()
    cuda = args.device == 'cuda'
    unit = 's' if cuda else 's of CPU time'
    model: Any = create_model(args.variant, gradient_checkpointing=args.checkpointing)
    model = model.train().to(args.device)
    x = torch.randn(args.batch, 3, args.side, args.side, device=args.device)
    for name in ('task alone', 'alignment + task'):
        alignment = model.alignment().to(args.device) if '+' in name else None
        modules = [model] + ([alignment] if alignment is not None else [])
        learned = [p for m in modules for p in m.parameters() if p.requires_grad]
        optimiser = torch.optim.Adam(learned, lr=1e-5)
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        took = seconds(functools.partial(step, model, alignment, x, optimiser, args.precision),
                       args.repeats, cuda)
        peak = (torch.cuda.max_memory_allocated() if cuda
                else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024) / 1e9
        print(f'{name}: {took:.3f} {unit}, peak memory {peak:.2f} GB, of which weights '
              f'{gigabytes(*modules):.2f} GB; {sum(p.numel() for p in learned):,} learn')


if __name__ == '__main__':
    main()

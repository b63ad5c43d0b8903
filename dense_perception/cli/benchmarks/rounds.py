"""Timing rivals fairly: they take turns, so a busy machine hits all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np


def take_turns(rivals: Mapping[str, Callable[[], object]], rounds: int,
               calls_per_turn: int = 5, warm_ups: int = 2) -> dict[str, dict[str, float]]:
    """Minimum, median and 95th percentile of each rival's calls, in milliseconds.

    The minimum is what a call takes while nobody disturbs it; ``cpu_ms``, the least CPU time of
    this process (all threads) for a call, is what others on the machine disturb least.

    :param rivals: name -> the call to time; each is called ``warm_ups`` times before, untimed.
    """
    times: dict[str, list[float]] = {name: [] for name in rivals}
    cpu: dict[str, float] = dict.fromkeys(rivals, float('inf'))
    for call in rivals.values():
        for _ in range(warm_ups):
            call()
    for _ in range(rounds):
        for name, call in rivals.items():
            for _ in range(calls_per_turn):
                start, busy = time.perf_counter(), time.process_time()
                call()
                times[name].append(1e3 * (time.perf_counter() - start))
                cpu[name] = min(cpu[name], 1e3 * (time.process_time() - busy))
    return {name: {'min_ms': min(values), 'p50_ms': float(np.median(values)),
                   'p95_ms': float(np.percentile(values, 95)), 'cpu_ms': cpu[name]}
            for name, values in times.items()}


def table(results: Mapping[str, Mapping[str, float]], reference: str) -> str:
    """Markdown table with each rival's median relative to that of ``reference``."""
    lines = [f'| | min ms | p50 ms | p95 ms | CPU ms | p50 relative to {reference} |',
             '|---|---|---|---|---|---|']
    for name, result in results.items():
        ratio = result['p50_ms'] / results[reference]['p50_ms']
        lines.append(f'| {name} | {result["min_ms"]:.2f} | {result["p50_ms"]:.2f} '
                     f'| {result["p95_ms"]:.2f} | {result["cpu_ms"]:.2f} | {ratio:.2f} |')
    return '\n'.join(lines)

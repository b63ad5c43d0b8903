"""One engine on demand, with word of every step: for this machine's GPU, or for others."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from dense_perception.inference.backends import tensorrt
from dense_perception.inference.backends.base import PRECISIONS, Backend, BackendError
from dense_perception.inference.backends.tensorrt_builder import (
    GIVEN_UP,
    BuildOptions,
    build_engine,
)
from dense_perception.inference.engine_cache import EngineCache
from dense_perception.inference.model_file import ModelFile

RUNTIMES = ('tensorrt', 'tensorrt_rtx')
_BUILDING_SHARE = 0.9

Report = Callable[[str, float], bool]
"""Takes the stage (waiting, building, comparing) and what is done of the whole, 0..1, which may
fall back where a stage begins anew; returns False to give up."""


@dataclass(frozen=True)
class Order:
    """What is to be built.

    ``runtime``: one of :data:`RUNTIMES`, '' = the first that works here. ``targets``: compute
    capabilities to build for ahead of time, such as SM89; empty = the GPU of this machine.
    ``batch``: the most images to be taken at once, where the model file leaves that open.
    """

    model: ModelFile
    runtime: str = ''
    precision: str = 'fp32'
    targets: tuple[str, ...] = ()
    batch: int = 1

    def __post_init__(self) -> None:
        for kind, value, choices in (('backend', self.runtime, ('', *RUNTIMES)),
                                     ('precision', self.precision, PRECISIONS)):
            if value not in choices:
                raise BackendError(f'no engine for {kind} "{value}"; choose from '
                                   f'{", ".join(filter(None, choices))}')


@dataclass(frozen=True)
class Built:
    """An engine in the cache; ``cache.about`` says how long it took and how accurate it is.

    ``backend``: the engine, ready to run; None if it is for other GPUs.
    """

    runtime: str
    cache: EngineCache
    backend: Backend | None


def build(order: Order, report: Report,
          compare: Callable[[Backend, Report], dict[str, float]]) -> Built:
    """Build and compare an engine, unless the cache has it.

    :param compare: gives the figures of an engine against fp32, or raises BackendError if they
        are beyond their limits; not called for ``order.targets``.
    :raises BackendError: there is no engine, and why.
    """
    def waiting() -> bool:
        return report('waiting', 0.0)

    def progress(share: float) -> bool:
        return report('building', _BUILDING_SHARE * share)

    def check(backend: Backend) -> dict[str, object]:
        def compared(stage: str, share: float) -> bool:
            return report(stage, _BUILDING_SHARE + (1 - _BUILDING_SHARE) * share)
        return {'figures': compare(backend, compared), 'refused': None}

    if order.targets:
        return _ahead_of_time(order, progress, waiting)
    engines = _engines(order)
    backend = engines.build(progress, check, waiting)
    return Built(engines.runtime, engines.cache, backend)


def _ahead_of_time(order: Order, progress: Callable[[float], bool],
                   waiting: Callable[[], bool]) -> Built:
    trt = tensorrt.ahead_of_time(order.runtime or 'tensorrt_rtx')
    cache = EngineCache(
        tensorrt.engine_key(trt, order.model, None, order.precision, order.targets, order.batch),
        order.model.card.name)
    with cache.lock(waiting) as mine:
        if not mine:
            raise BackendError(GIVEN_UP)
        if cache.load()[0] is None:
            start = time.monotonic()
            engine = build_engine(trt, order.model.path,
                                  BuildOptions(order.precision, order.targets, order.batch),
                                  progress)
            cache.store(engine, {'targets': list(order.targets),
                                 'build_seconds': round(time.monotonic() - start, 1)})
        if cache.problem:
            raise BackendError(f'an engine for other GPUs is of use in the cache only: '
                               f'{cache.problem}')
    return Built(trt.__name__, cache, None)


def _engines(order: Order) -> tensorrt.Engines:
    """Of the runtime that was asked for, or of the first that works."""
    reasons = []
    for runtime in (order.runtime,) if order.runtime else RUNTIMES:
        try:
            return tensorrt.Engines(runtime, order.model, order.precision, order.batch)
        except BackendError as error:
            reasons.append(f'{runtime}: {error}')
    raise BackendError('; '.join(reasons))

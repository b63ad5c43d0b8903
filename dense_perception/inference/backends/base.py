"""What every inference backend offers the predictor."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from dense_perception.inference import card as names
from dense_perception.inference.card import ModelCard
from dense_perception.inference.model_file import ModelFile

PRECISIONS = ('fp32', 'tf32', 'bf16', 'fp16')
"""The least precise arithmetic that a backend may use; int8 is a property of the model file."""

CPU_INFO = Path('/proc/cpuinfo')

_SMALL_BYTES = 32 * 2 ** 20  # of a model file

Progress = Callable[[float], bool]
"""Takes the share of the work that is done, 0..1; returns False to give the work up."""


class BackendError(RuntimeError):
    """A backend that cannot load or run a model; the message says why and what to do."""


class DeviceError(BackendError):
    """The device failed, not this image: the next image would fail as well."""


class Backend(Protocol):
    """A loaded model. ``run`` releases the GIL while it computes."""

    @property
    def name(self) -> str:
        """What diagnostics show, for example ``onnxruntime-cpu``."""
        ...

    @property
    def max_batch(self) -> int:
        """The most images that ``run`` takes at once, and that are worth to be."""
        ...

    @property
    def concurrency(self) -> int:
        """The most calls of ``run`` at the same time, and that are worth to be."""
        ...

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run one batch: contiguous arrays by graph input name -> arrays by graph output name.

        The arrays that are returned are the caller's: later batches leave them alone.

        :raises BackendError: the runtime failed; the next batch may succeed.
        :raises DeviceError: the runtime failed, and the next batch would as well.
        """
        ...


class EngineMissing(BackendError):
    """A backend that would work, once its engine is built (minutes) and compared with fp32.

    :param build: builds and loads it; raises BackendError.
    :param note: keeps the verdict with the engine: ``figures``, and ``refused`` or None.
    """

    def __init__(self, reason: str, build: Callable[[Progress], Backend],
                 note: Callable[[dict[str, object]], None]) -> None:
        super().__init__(reason)
        self.build, self.note = build, note


@dataclass(frozen=True)
class BackendOptions:
    """How a model is to be run.

    ``threads``: CPU threads for backends that compute on the CPU; 0 = one for each core of this
    process. ``inferences``: how many may run at the same time on a CPU; 0 = as many as are worth
    to be. ``spin_us``: microseconds for which ONNX Runtime's threads on a CPU stay awake when
    they have nothing to do within an inference; 0 = they sleep at once. ``precision``: one of
    :data:`PRECISIONS`; backends that have no use for a lower one compute in fp32. ``batch``: how
    many images, such as those of several cameras, a GPU is to take at once; ``cpu_batch``: the
    same for ONNX Runtime on a CPU, which gains nothing by it. docs/backends.md has what these are
    worth.
    """

    threads: int = 0
    precision: str = 'fp32'
    inferences: int = 1
    spin_us: int = 0
    batch: int = 1
    cpu_batch: int = 1

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise BackendError(f'unknown precision "{self.precision}"; choose from '
                               f'{", ".join(PRECISIONS)}')

    @property
    def cpu_threads(self) -> int:
        """The number of CPU threads, 0 resolved."""
        return self.threads or len(os.sched_getaffinity(0))


def cpu_has(*flags: str) -> bool:
    """Whether this CPU has one of these instructions, as far as Linux says."""
    try:
        return not set(flags).isdisjoint(CPU_INFO.read_text(encoding='utf-8').split())
    except OSError:
        return False


def inferences_on_cpu(model: ModelFile, options: BackendOptions) -> int:
    """How many at the same time, 0 resolved: for large layers a second only delays the first."""
    worth = 2 if options.cpu_threads > 1 and model.size <= _SMALL_BYTES else 1
    return options.inferences or worth


class Company:
    """Says which inferences of a model that is loaded twice on a CPU may take all threads.

    Small layers are shared badly among threads: one at a time with two threads is sooner done,
    two at the same time with a thread each are done more often (docs/backends.md). So all threads
    are for an inference that begins alone and after a rest, which tells that there is time left.
    """

    _REST = 0.5  # of what the last inference took

    def __init__(self) -> None:
        self._running, self._free_from, self._lock = 0, 0.0, threading.Lock()

    @contextmanager
    def joined(self) -> Iterator[bool]:
        """To be held while an inference runs; whether it may take all threads."""
        began = time.monotonic()
        with self._lock:
            alone = not self._running and began >= self._free_from
            self._running += 1
        try:
            yield alone
        finally:
            ended = time.monotonic()
            with self._lock:
                self._running -= 1
                self._free_from = ended + self._REST * (ended - began)


ANY_BATCH = -1
"""Stands for the batch axis of a graph that takes any number of images."""


def input_shapes(card: ModelCard, batch: int = 1) -> dict[str, tuple[int, ...]]:
    """Shapes of the graph's inputs, as the card has them."""
    shapes: dict[str, tuple[int, ...]] = {names.INPUT_IMAGE: (batch, *card.input_size, 3)}
    if card.takes_mount:
        shapes |= {names.INPUT_INTRINSICS: (batch, 4), names.INPUT_GRAVITY: (batch, 3),
                   names.INPUT_CAMERA_HEIGHT: (batch,)}
    return shapes


def check_graph(path: object, card: ModelCard, inputs: dict[str, tuple[int, ...]],
                outputs: list[str]) -> bool:
    """Compare what a runtime found in the graph with what the card promises.

    :param inputs: shapes by name; ``ANY_BATCH`` for the axis of a batch of any size.
    :returns: whether the graph takes any number of images at once.
    :raises BackendError: they differ.
    """
    missing = set(card.outputs) - set(outputs)
    if missing:
        raise BackendError(f'{path}: the card promises outputs {sorted(missing)} that '
                           f'the graph does not have (it has {outputs})')
    wanted = input_shapes(card)
    any_batch = inputs == input_shapes(card, ANY_BATCH)
    if inputs != wanted and not any_batch:
        raise BackendError(f'{path}: by its card the graph takes {wanted}, but it takes '
                           f'{inputs}; export the model again')
    return any_batch

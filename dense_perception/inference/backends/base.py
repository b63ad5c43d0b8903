"""What every inference backend offers the predictor."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dense_perception.inference import card as names
from dense_perception.inference.card import ModelCard

PRECISIONS = ('fp32', 'tf32', 'bf16', 'fp16')
"""The least precise arithmetic that a backend may use; int8 is a property of the model file."""

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
    process. ``precision``: one of :data:`PRECISIONS`; backends that have no use for a lower one
    compute in fp32.
    """

    threads: int = 0
    precision: str = 'fp32'

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise BackendError(f'unknown precision "{self.precision}"; choose from '
                               f'{", ".join(PRECISIONS)}')

    @property
    def cpu_threads(self) -> int:
        """The number of CPU threads, 0 resolved."""
        return self.threads or len(os.sched_getaffinity(0))


def input_shapes(card: ModelCard) -> dict[str, tuple[int, ...]]:
    """Shapes of the graph's inputs, as the card has them."""
    shapes: dict[str, tuple[int, ...]] = {names.INPUT_IMAGE: (1, *card.input_size, 3)}
    if card.takes_mount:
        shapes |= {names.INPUT_INTRINSICS: (1, 4), names.INPUT_GRAVITY: (1, 3),
                   names.INPUT_CAMERA_HEIGHT: (1,)}
    return shapes


def check_graph(path: object, card: ModelCard, inputs: dict[str, tuple[int, ...]],
                outputs: list[str]) -> None:
    """Compare what a runtime found in the graph with what the card promises.

    :raises BackendError: they differ.
    """
    missing = set(card.outputs) - set(outputs)
    if missing:
        raise BackendError(f'{path}: the card promises outputs {sorted(missing)} that '
                           f'the graph does not have (it has {outputs})')
    wanted = input_shapes(card)
    if inputs != wanted:
        raise BackendError(f'{path}: by its card the graph takes {wanted}, but it takes '
                           f'{inputs}; export the model again')

"""Frames of several cameras through one network at once.

What is done to a frame is written as a generator: it asks for its inference in the middle, and
whoever runs it answers. So one way of a frame serves alone and in a batch with others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import numpy as np

from dense_perception.inference.backends.base import Backend, BackendError

T = TypeVar('T')

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Inference:
    """What a frame asks for: one image's graph inputs, with a batch axis of 1, for a backend."""

    backend: Backend
    inputs: Arrays


@dataclass(frozen=True)
class Answer:
    """Its graph outputs, with a batch axis of 1, and how long the backend took for the batch."""

    outputs: Arrays
    milliseconds: float


Frame = Generator[Inference, Answer, T]
"""A frame on its way: asks at most once, and is given the answer or a BackendError."""


def run(frame: Frame[T]) -> T:
    """Run one frame to its end."""
    return run_together([frame])[0]


def run_together(frames: Sequence[Frame[T]]) -> list[T]:
    """Run frames to their ends, as a :class:`Batch`.

    :returns: what each frame returned.
    """
    batch = Batch(frames)
    batch.infer()
    return batch.finish()


class Batch(Generic[T]):
    """Frames on their way together, in three steps that may run in three threads.

    Made, it has begun them: each has come to its question, or to its end.
    """

    def __init__(self, frames: Sequence[Frame[T]]) -> None:
        self._frames = frames
        self._results: dict[int, T] = {}
        self._answers: dict[int, Answer | BackendError] = {}
        self._asked = {i: asked for i, frame in enumerate(frames)
                       if (asked := self._advance(i, frame.__next__)) is not None}

    def infer(self) -> None:
        """Answer the questions; those for the same backend at once.

        Where that fails they are asked one by one, so that only the image that is to blame does.
        """
        while self._asked:
            backend = next(iter(self._asked.values())).backend
            group = {i: self._asked.pop(i).inputs for i in list(self._asked)
                     if self._asked[i].backend is backend}
            self._answers |= zip(group, _answers(backend, list(group.values())), strict=True)

    def finish(self) -> list[T]:
        """Run the frames to their ends; returns what each returned."""
        for i, answer in self._answers.items():
            self._advance(i, partial(self._frames[i].throw, answer)
                          if isinstance(answer, BackendError)
                          else partial(self._frames[i].send, answer))
        return [self._results[i] for i in range(len(self._frames))]

    def _advance(self, index: int, step: Callable[[], Inference]) -> Inference | None:
        try:
            return step()
        except StopIteration as end:
            self._results[index] = end.value
            return None


def _answers(backend: Backend, images: list[Arrays]) -> list[Answer | BackendError]:
    start = time.perf_counter()
    try:
        outputs = backend.run(images[0] if len(images) == 1 else {
            name: np.concatenate([image[name] for image in images]) for name in images[0]})
    except BackendError as error:
        if len(images) == 1:
            return [error]
        return [answer for image in images for answer in _answers(backend, [image])]
    milliseconds = 1e3 * (time.perf_counter() - start)
    return [Answer({name: values[i:i + 1] for name, values in outputs.items()}, milliseconds)
            for i in range(len(images))]

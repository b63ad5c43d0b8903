"""Frames of several cameras through one network at once.

What is done to a frame is written as a generator: it asks for its inference in the middle, and
whoever runs it answers. So one way of a frame serves alone and in a batch with others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

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
    """Run frames to their ends, with what :func:`infer_together` says.

    :returns: what each frame returned.
    """
    return infer_together(frames)()


def infer_together(frames: Sequence[Frame[T]]) -> Callable[[], list[T]]:
    """Run frames until their inferences are done; those that ask the same backend are one batch.

    A batch that fails is run again image by image, so that only the image that is to blame does.

    :returns: runs the frames to their ends, in any thread, and returns what each frame returned.
    """
    results: dict[int, T] = {}

    def advance(index: int, step: Callable[[], Inference]) -> Inference | None:
        try:
            return step()
        except StopIteration as end:
            results[index] = end.value
            return None

    asked = {i: found for i, frame in enumerate(frames)
             if (found := advance(i, frame.__next__)) is not None}
    answers: dict[int, Answer | BackendError] = {}
    while asked:
        backend = next(iter(asked.values())).backend
        group = {i: asked.pop(i).inputs for i in list(asked) if asked[i].backend is backend}
        answers |= zip(group, _answers(backend, list(group.values())), strict=True)

    def finish() -> list[T]:
        for i, answer in answers.items():
            advance(i, partial(frames[i].throw, answer) if isinstance(answer, BackendError)
                    else partial(frames[i].send, answer))
        return [results[i] for i in range(len(frames))]

    return finish


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

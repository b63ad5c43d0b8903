"""What a viewer must be able to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.mount import Mount
from dense_perception.inference.card import ClassInfo


class Viewer(Protocol):
    """Takes what comes, each with its time: header stamp in seconds."""

    def camera(self, time: float, pixels: np.ndarray) -> None:
        """Camera image: uint8 (H, W, 3), RGB."""

    def depth(self, time: float, depth: np.ndarray, metric: bool) -> None:
        """Depth: float32 (H, W), NaN = unknown; metres along z if ``metric``."""

    def mask(self, time: float, labels: np.ndarray) -> None:
        """Class ids: uint8 (H, W)."""

    def cloud(self, time: float, points: np.ndarray) -> None:
        """Points: structured (H, W) with x, y, z and perhaps rgb and label, optical frame."""

    def intrinsics(self, time: float, of: str, intrinsics: Intrinsics) -> None:
        """Intrinsics of the ``camera`` or of the ``outputs``."""

    def mount(self, mount: Mount | None) -> None:
        """How the camera is mounted; None = unknown."""

    def classes(self, classes: Sequence[ClassInfo]) -> None:
        """The classes of the masks."""

    def numbers(self, time: float, values: Mapping[str, float]) -> None:
        """Times of one frame in milliseconds, by name."""

    def said(self, level: int, sentence: str) -> None:
        """Something is wrong: level 1 = WARN, 2 = ERROR."""

    def tick(self) -> None:
        """Called about ten times a second.

        :raises ViewerClosed: nobody looks any more.
        """

    def close(self) -> str:
        """Finish what is unfinished; returns a sentence about the result, or nothing."""


class ViewerClosed(Exception):
    """The viewer was closed; the message is the sentence that the user gets."""

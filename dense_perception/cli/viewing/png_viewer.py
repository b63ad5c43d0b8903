"""Pictures in a folder as the viewer, for machines without a screen and without Rerun."""

from __future__ import annotations

import time as clock
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dense_perception.cli.command import CommandError
from dense_perception.cli.mosaic import Mosaic
from dense_perception.cli.observer import Sample
from dense_perception.cli.sheet import save
from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.mount import Mount
from dense_perception.inference.card import ClassInfo

_KEPT_FRAMES = 8


class PngViewer:
    """Writes a picture of the newest frame every few seconds.

    :param folder: gets 0001.png, 0002.png, ...
    :param period_s: seconds between two pictures.
    """

    def __init__(self, folder: Path, period_s: float) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(f'cannot write to {folder}: {error.strerror}') from None
        self._folder = folder
        self._period_s = period_s
        self._due = clock.monotonic() + period_s
        self._frames: dict[float, dict[str, Any]] = {}
        self._first: float | None = None
        self._written = 0
        self._intrinsics: Intrinsics | None = None
        self._mount: Mount | None = None
        self._classes: Sequence[ClassInfo] = ()
        self._latency = ''

    def camera(self, time: float, pixels: np.ndarray) -> None:
        """See ``Viewer``."""
        self._keep(time, image=pixels)

    def depth(self, time: float, depth: np.ndarray, metric: bool) -> None:
        """See ``Viewer``."""
        self._keep(time, depth=depth, metric=metric)

    def mask(self, time: float, labels: np.ndarray) -> None:
        """See ``Viewer``."""
        self._keep(time, labels=labels)

    def cloud(self, time: float, points: np.ndarray) -> None:
        """See ``Viewer``."""
        self._keep(time, points=points)

    def intrinsics(self, time: float, of: str, intrinsics: Intrinsics) -> None:
        """See ``Viewer``."""
        if of == 'outputs':
            self._intrinsics = intrinsics

    def mount(self, mount: Mount | None) -> None:
        """See ``Viewer``."""
        self._mount = mount

    def classes(self, classes: Sequence[ClassInfo]) -> None:
        """See ``Viewer``."""
        self._classes = classes

    def numbers(self, time: float, values: Mapping[str, float]) -> None:
        """See ``Viewer``."""
        if 'latency' in values:
            self._latency = f'   latency {values["latency"]:.0f} ms'

    def said(self, level: int, sentence: str) -> None:
        """Pictures have no room for sentences; the command prints them."""

    def tick(self) -> None:
        """Write a picture if it is time for one and there is something new to show."""
        if clock.monotonic() < self._due or not self._frames:
            return
        complete = [t for t, f in self._frames.items() if 'image' in f and len(f) > 1]
        chosen = max(complete or [t for t, f in self._frames.items() if 'image' in f],
                     default=None)
        if chosen is None:
            return
        self._due = clock.monotonic() + self._period_s
        self._write(chosen, self._frames[chosen])
        self._frames = {t: f for t, f in self._frames.items() if t > chosen}

    def close(self) -> str:
        """See ``Viewer``."""
        return f'{self._written} pictures in {self._folder}'

    def _keep(self, time: float, **content: Any) -> None:
        self._frames.setdefault(time, {}).update(content)
        while len(self._frames) > _KEPT_FRAMES:
            del self._frames[min(self._frames)]

    def _write(self, time: float, content: dict[str, Any]) -> None:
        self._first = time if self._first is None else self._first
        nothing = dict.fromkeys(('depth', 'labels', 'points', 'true_depth', 'true_labels'))
        sample = Sample(**(nothing | {
            'seconds': time - self._first, 'metric': False, 'intrinsics': self._intrinsics,
            'mount': self._mount} | content))
        self._written += 1
        save(self._folder / f'{self._written:04d}.png',
             Mosaic(self._classes).paint([sample], f'dense_perception{self._latency}'))

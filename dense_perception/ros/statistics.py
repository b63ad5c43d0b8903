"""Counts and timings of the frames that went through the node."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

_REMEMBERED_FRAMES = 256


@dataclass(frozen=True)
class Counts:
    """Frames since the node started.

    ``frames_in``: those that came = ``frames_out`` + ``dropped`` + ``refused`` + what waits or is
    worked on.
    """

    frames_in: int
    frames_out: int
    dropped: int
    refused: int


class Statistics:
    """Counters and the timings of the last frames; safe to use from any thread.

    :param dropped: tells how many frames were given up for a newer one.
    """

    def __init__(self, dropped: Callable[[], int] = lambda: 0) -> None:
        self._lock = threading.Lock()
        self._dropped = dropped
        self._in = self._out = self._refused = self._discarded = 0
        self._last_refusal = ''
        self._frames: deque[Mapping[str, float]] = deque(maxlen=_REMEMBERED_FRAMES)

    def arrived(self) -> None:
        """Count a received frame."""
        with self._lock:
            self._in += 1

    def discarded(self) -> None:
        """Count a frame that was given up though no newer one came."""
        with self._lock:
            self._discarded += 1

    def refused(self, reason: str) -> None:
        """Count a frame that could not be used."""
        with self._lock:
            self._refused += 1
            self._last_refusal = reason

    def published(self) -> Counts:
        """Count a frame whose outputs are out; returns the counts including it."""
        with self._lock:
            self._out += 1
            return self._counts()

    def timed(self, milliseconds: Mapping[str, float]) -> None:
        """Remember the timings of a frame: stage or quantity -> milliseconds."""
        with self._lock:
            self._frames.append(dict(milliseconds))

    def counts(self) -> Counts:
        """Counts until now."""
        with self._lock:
            return self._counts()

    @property
    def last_refusal(self) -> str:
        """Why the last refused frame was refused; empty if none was."""
        with self._lock:
            return self._last_refusal

    def percentiles(self) -> dict[str, tuple[float, float]]:
        """Median and 95th percentile (ms) of every timing over the remembered frames."""
        with self._lock:
            frames = list(self._frames)
        names = dict.fromkeys(name for frame in frames for name in frame)
        columns = {n: np.array([f.get(n, np.nan) for f in frames]) for n in names}
        known = {n: column[np.isfinite(column)] for n, column in columns.items()}
        return {name: tuple(float(q) for q in np.percentile(v, (50, 95)))
                for name, v in known.items() if v.size}

    def describe(self) -> dict[str, str]:
        """Diagnostics values: counts, the last refusal, ``<timing>_ms_p50`` and ``_p95``."""
        counts = self.counts()
        values = {'frames_in': str(counts.frames_in), 'frames_out': str(counts.frames_out),
                  'dropped': str(counts.dropped), 'refused': str(counts.refused),
                  'last_refusal': self.last_refusal}
        for name, (p50, p95) in self.percentiles().items():
            values |= {f'{name}_ms_p50': f'{p50:.2f}', f'{name}_ms_p95': f'{p95:.2f}'}
        return values

    def _counts(self) -> Counts:
        return Counts(self._in, self._out, self._dropped() + self._discarded,
                      self._refused)

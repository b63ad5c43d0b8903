"""A few frames that stand for a whole source."""

from __future__ import annotations

from dense_perception.sources.base import Frame, Source

_MAX_SCANNED = 3000


def spread(source: Source, count: int) -> list[Frame]:
    """``count`` frames, or all there are, evenly spread over the first 3000 of a source.

    :raises SourceError: it cannot be read.
    """
    frames: list[Frame] = []
    step = 1
    for index, frame in enumerate(source.frames()):
        if index >= _MAX_SCANNED:
            break
        if index % step == 0:
            frames.append(frame)
        if len(frames) >= 2 * count:  # twice the spacing: memory stays bounded
            frames, step = frames[::2], 2 * step
    chosen = min(count, len(frames))
    return [frames[i * (len(frames) - 1) // max(chosen - 1, 1)] for i in range(chosen)]

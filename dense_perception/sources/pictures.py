"""Frames from picture files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2

from dense_perception.sources.base import Frame, Lens, SourceError, Warn

SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp')


def pictures_in(folder: Path) -> list[Path]:
    """Picture files of a folder in the order of their names.

    :raises SourceError: it has none.
    """
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise SourceError(f'folder {folder} has no picture ({", ".join(SUFFIXES)}) and is no '
                          'rosbag2 bag (metadata.yaml)')
    return paths


class Pictures:
    """Picture files, one after the other."""

    live = False

    def __init__(self, paths: Sequence[Path], lens: Lens, warn: Warn) -> None:
        self._paths = paths
        self._lens = lens
        self._warn: Warn | None = warn

    def frames(self) -> Iterator[Frame]:
        """See :class:`Source`; pictures that cannot be read are left out, and counted."""
        broken = []
        for path in self._paths:
            image = cv2.imread(str(path), cv2.IMREAD_COLOR)
            if image is None:
                broken.append(path)
                continue
            height, width = image.shape[:2]
            yield Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB),
                        self._lens.intrinsics(width, height))
        if len(broken) == len(self._paths):
            raise SourceError(f'none of {len(broken)} pictures can be read, the first is '
                              f'{broken[0]}')
        if broken and self._warn is not None:
            self._warn(f'{len(broken)} of {len(self._paths)} pictures cannot be read and were '
                       f'left out, the first is {broken[0]}')
            self._warn = None

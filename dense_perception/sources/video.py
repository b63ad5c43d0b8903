"""Frames from a video file or a webcam, through OpenCV."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import cv2

from dense_perception.sources.base import Frame, Lens, SourceError

_SILENT = 0
# OpenCV 5 has moved it.
_set_log_level = cv2.setLogLevel if hasattr(cv2, 'setLogLevel') else cv2.utils.logging.setLogLevel


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What OpenCV and FFmpeg print about sources they cannot open is in our one sentence."""
    os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')
    level = _set_log_level(_SILENT)
    try:
        yield
    finally:
        _set_log_level(level)


class VideoFile:
    """A video file, with the time of every frame from its frame rate.

    :raises SourceError: OpenCV cannot read a single frame of it.
    """

    live = False

    def __init__(self, path: Path, lens: Lens) -> None:
        self._path = path
        self._lens = lens
        with _quiet():
            capture = cv2.VideoCapture(str(path))
            readable, _ = capture.read()
            capture.release()
        if not readable:
            raise SourceError(f'{path} is no video that OpenCV can read (damaged, or its codec '
                              'is missing)')

    def frames(self) -> Iterator[Frame]:
        """See :class:`Source`."""
        capture = cv2.VideoCapture(str(self._path))
        try:
            rate = capture.get(cv2.CAP_PROP_FPS) or 30.0
            for index, image in enumerate(_images(capture)):
                height, width = image.shape[:2]
                yield Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB),
                            self._lens.intrinsics(width, height),
                            stamp_ns=round(index * 1e9 / rate))
        finally:
            capture.release()


class Webcam:
    """A camera of this machine, by its number.

    :param width: asked of the camera, which may give another size; 0 = what it likes.
    :raises SourceError: it cannot be opened.
    """

    live = True

    def __init__(self, number: int, lens: Lens, width: int, height: int) -> None:
        self._number = number
        self._lens = lens
        self._size = width, height
        self._open().release()

    def frames(self) -> Iterator[Frame]:
        """See :class:`Source`."""
        capture = self._open()
        try:
            for image in _images(capture):
                height, width = image.shape[:2]
                yield Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB),
                            self._lens.intrinsics(width, height))
            raise SourceError(f'webcam {self._number} gives no more images; is it unplugged?')
        finally:
            capture.release()

    def _open(self) -> cv2.VideoCapture:
        with _quiet():
            capture = cv2.VideoCapture(self._number)
        if not capture.isOpened():
            raise SourceError(f'webcam {self._number} (/dev/video{self._number}) cannot be '
                              'opened; is it plugged in, free, and may this user read it?')
        if self._size[0]:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._size[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._size[1])
        return capture


def _images(capture: cv2.VideoCapture) -> Iterator:
    while True:
        readable, image = capture.read()
        if not readable:
            return
        yield image

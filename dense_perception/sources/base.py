"""What a source of images gives, whatever it is made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.camera_info import Distortion
from dense_perception.geometry.mount import Mount

Warn = Callable[[str], None]
"""Takes one sentence about something that is odd but can be lived with."""


class SourceError(ValueError):
    """A source that cannot be used; the message names it and says what is wrong."""


@dataclass(frozen=True)
class Frame:
    """One image and what is known about it.

    ``image``: uint8 (H, W, 3), RGB. ``intrinsics``: of ``image``. ``mount``: None if unknown.
    ``distortion``: the lens model of ``image`` if it is not rectified, else None.
    ``depth``: true depth, float32 (H', W'), metres along z, NaN where unknown, or None.
    ``labels``: true class ids, uint8 (H', W'), or None. ``stamp_ns``: time of the image on the
    source's own clock; None if the source has no time.
    """

    image: np.ndarray
    intrinsics: Intrinsics
    mount: Mount | None = None
    depth: np.ndarray | None = None
    labels: np.ndarray | None = None
    stamp_ns: int | None = None
    distortion: Distortion | None = None


class Source(Protocol):
    """Something that frames can be read from."""

    live: bool
    """True if frames come at their own pace and are gone if not taken (a webcam)."""

    def frames(self) -> Iterator[Frame]:
        """Frames from the beginning (of a live source: from now on).

        :raises SourceError: it cannot be read (any more), or has no frame at all.
        """


class Lens:
    """Intrinsics for sources without calibration, from an assumed horizontal field of view.

    :param horizontal_fov: in degrees.
    :param warn: told once that the intrinsics are assumed.
    """

    def __init__(self, horizontal_fov: float, warn: Warn) -> None:
        self._fov = horizontal_fov
        self._warn: Warn | None = warn

    def intrinsics(self, width: int, height: int) -> Intrinsics:
        """Square pixels, centre in the middle of the image."""
        if self._warn is not None:
            self._warn('the source has no calibration: intrinsics are assumed from a horizontal '
                       f'field of view of {self._fov:g} degrees, so its metric depth is a guess')
            self._warn = None
        focal = width / 2 / math.tan(math.radians(self._fov) / 2)
        return Intrinsics(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)


def resized(frame: Frame, width: int, height: int) -> Frame:
    """The frame with its image at another size, intrinsics following; truth stays as it is.

    :param width: 0 = as it is (then ``height`` must be 0 too).
    """
    if width == 0 or frame.image.shape[:2] == (height, width):
        return frame
    shrinking = width <= frame.image.shape[1] and height <= frame.image.shape[0]
    image = cv2.resize(frame.image, (width, height),
                       interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
    return replace(frame, image=image, intrinsics=frame.intrinsics.resized(width, height))

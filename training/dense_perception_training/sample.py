"""One image with what is known about it: what datasets give and transforms take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.mount import Mount
from dense_perception.inference.card import UNLABELLED


class SampleError(ValueError):
    """One sample that cannot be used; the message names its file and says what is wrong."""


class UnreadableFileError(SampleError):
    """A file of the sample is missing, damaged or of another type than announced."""


class SizeMismatchError(SampleError):
    """Image, truth or intrinsics of one sample differ in size."""


class NoTruthError(SampleError):
    """Not one pixel of a sample has the truth it should have."""


class LabelRangeError(SampleError):
    """A mask holds ids that are no class of the dataset."""


@dataclass(frozen=True)
class Sample:
    """One image and its truth; every map has the image's size.

    ``image``: uint8 (H, W, 3), RGB. ``source``: names the files in messages. ``depth``: float32
    (H, W) along z, NaN = unknown; metres, unless the dataset's ``depth_convention`` says
    otherwise. ``labels``: uint8 (H, W), 255 = unlabelled. ``normals``: float32 (H, W, 3), unit
    vectors in the optical frame (x right, y down, z forward; towards the camera z < 0), NaN =
    unknown. ``alpha``: float32 (H, W), 0..1, NaN = unknown. ``intrinsics``: of the image.
    ``gravity``: float64 (3,), unit vector along gravity in the optical frame.
    ``camera_height``: metres above the ground. None = the dataset does not have it.

    :raises SizeMismatchError: a map or the intrinsics have another size than the image.
    :raises SampleError: an array has another dtype or number of dimensions.
    """

    image: np.ndarray
    source: str
    depth: np.ndarray | None = None
    labels: np.ndarray | None = None
    normals: np.ndarray | None = None
    alpha: np.ndarray | None = None
    intrinsics: Intrinsics | None = None
    gravity: np.ndarray | None = None
    camera_height: float | None = None

    def __post_init__(self) -> None:
        for name, (dtype, channels) in _MAPS.items():
            array = getattr(self, name)
            if array is None:
                continue
            if array.dtype != dtype or array.shape[2:] != channels or array.ndim < 2:
                raise SampleError(f'{self.source}: {name} is {array.dtype} {array.shape}, not '
                                  f'{np.dtype(dtype)} {("H", "W", *channels)}')
            if array.shape[:2] != self.size:
                raise SizeMismatchError(f'{self.source}: {name} is {_size(array.shape)}, the '
                                        f'image {_size(self.image.shape)}')
        k = self.intrinsics
        if k is not None and (k.height, k.width) != self.size:
            raise SizeMismatchError(f'{self.source}: intrinsics are for {k.width}x{k.height}, the '
                                    f'image is {_size(self.image.shape)}')
        if self.gravity is not None and np.shape(self.gravity) != (3,):
            raise SampleError(f'{self.source}: gravity {self.gravity} is no vector of three')

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def mount(self) -> Mount | None:
        """How the camera hangs, if gravity and height are known."""
        if self.gravity is None or self.camera_height is None:
            return None
        return Mount(tuple(self.gravity), self.camera_height)

    def checked(self, classes: int = 0) -> Sample:
        """The sample itself, if its truth can be used.

        :param classes: number of classes of the dataset; 0 = any id may be in the mask.
        :raises NoTruthError: it has depth, labels or normals, and not one pixel of them is known.
        :raises LabelRangeError: an id is neither below ``classes`` nor 255.
        """
        truths = {'depth': None if self.depth is None else np.isfinite(self.depth),
                  'labels': None if self.labels is None else self.labels != UNLABELLED,
                  'normals': None if self.normals is None else np.isfinite(self.normals),
                  'alpha': None if self.alpha is None else np.isfinite(self.alpha)}
        given = {name: known for name, known in truths.items() if known is not None}
        if given and not any(known.any() for known in given.values()):
            raise NoTruthError(f'{self.source}: no pixel has {" or ".join(given)}')
        if self.labels is not None and classes:
            highest = int(self.labels[truths['labels']].max(initial=0))
            if highest >= classes:
                raise LabelRangeError(f'{self.source}: the mask holds class {highest}, but the '
                                      f'dataset has {classes} classes (0..{classes - 1}, or '
                                      f'{UNLABELLED} = unlabelled)')
        return self


_MAPS: dict[str, tuple[type, tuple[int, ...]]] = {
    'image': (np.uint8, (3,)), 'depth': (np.float32, ()), 'labels': (np.uint8, ()),
    'normals': (np.float32, (3,)), 'alpha': (np.float32, ())}


def _size(shape: tuple[int, ...]) -> str:
    return f'{shape[1]}x{shape[0]}'

"""Files of datasets as arrays: pictures, depth, masks, mattes, normals, HDF5.

Each function raises :class:`UnreadableFileError` if the file is missing, damaged (also if only its
end is missing) or of another type than it should be. Pillow reads them: unlike OpenCV it refuses
truncated files and gives the indices of palette masks. Orientation tags are not applied, because
the truth is not turned either.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from dense_perception.geometry.camera import Intrinsics, IntrinsicsError
from dense_perception_training.datasets.base import DatasetError
from dense_perception_training.sample import UnreadableFileError

_GREY_MODES = ('1', 'L', 'P', 'I;16', 'I;16B', 'I')


def read_image(path: Path) -> np.ndarray:
    """Picture: uint8 (H, W, 3), RGB."""
    return _read(path, lambda picture: picture.convert('RGB'))


def read_depth(path: Path, scale: float, invalid: Collection[int] = (0,)) -> np.ndarray:
    """Depth from a 16-bit PNG (or other integer picture): float32 (H, W), NaN = unknown.

    :param scale: file values per metre. :param invalid: file values that stand for "unknown".
    """
    values = _read(path, None)
    if values.ndim != 2 or values.dtype == np.uint8:
        raise UnreadableFileError(f'{path} is {values.dtype} {values.shape}; depth is a 16-bit '
                                  'picture with one channel')
    depth = values.astype(np.float32) / np.float32(scale)
    depth[np.isin(values, list(invalid))] = np.nan
    return depth


def read_ids(path: Path) -> np.ndarray:
    """Class ids as they are in the file: uint8 or uint16 (H, W)."""
    values = _read(path, None)
    if values.ndim != 2:
        raise UnreadableFileError(f'{path} is a colour picture; a mask has one channel of ids')
    return values.astype(np.uint8) if values.dtype == bool else values


def read_alpha(path: Path) -> np.ndarray:
    """Matte from an 8-bit grey picture: float32 (H, W), 0..1."""
    return _read(path, lambda picture: picture.convert('L')).astype(np.float32) / np.float32(255)


def read_normals(path: Path, axes: tuple[float, float, float]) -> np.ndarray:
    """Unit normals from an 8-bit colour picture: float32 (H, W, 3), NaN = unknown.

    Value 0 stands for -1 and 255 for 1. Grey (no direction at all) stands for "unknown".

    :param axes: signs that turn the file's x, y, z into the optical frame's.
    """
    values = _read(path, lambda picture: picture.convert('RGB')).astype(np.float32)
    return unit_normals((values / np.float32(127.5) - 1) * np.float32(axes))


def unit_normals(vectors: np.ndarray) -> np.ndarray:
    """Vectors (H, W, 3) of length 1; NaN where they are not finite or shorter than a half."""
    lengths = np.linalg.norm(vectors, axis=2, keepdims=True)
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.where(lengths > 0.5, vectors / lengths, np.nan).astype(np.float32)


def along_rays(vectors: np.ndarray, k: Intrinsics) -> np.ndarray:
    """Product of vectors (H, W, 3) with their pixels' rays: below 0 where they face the camera."""
    x, y = k.ray_slopes()
    return vectors[..., 0] * x[None] + vectors[..., 1] * y[:, None] + vectors[..., 2]


def read_npy(path: Path) -> np.ndarray:
    """Array of a .npy file."""
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UnreadableFileError(f'{path} cannot be read: {error}') from None


def read_floats(path: Path, height: int, width: int) -> np.ndarray:
    """Raw little-endian float32, row by row, without a header: float32 (height, width)."""
    try:
        values = np.fromfile(path, '<f4')
    except OSError as error:
        raise UnreadableFileError(f'{path} cannot be read: {error}') from None
    if values.size != height * width:
        raise UnreadableFileError(f'{path} holds {values.size} numbers, not the {width}x{height} '
                                  'of its image')
    return values.reshape(height, width).astype(np.float32)


def read_hdf5(path: Path, key: str = 'dataset') -> np.ndarray:
    """One array of an HDF5 file. The dataset has called :func:`needed` ('h5py') when it opened."""
    import h5py
    try:
        with h5py.File(path) as file:
            return file[key][()]
    except (OSError, KeyError, RuntimeError) as error:
        raise UnreadableFileError(f'{path}: "{key}" cannot be read: {error}') from None


def read_numbers(path: Path, *shape: int) -> np.ndarray:
    """The numbers of a text file: float64 of this shape (-1 = as many as there are)."""
    try:
        return np.array(path.read_text().split(), np.float64).reshape(shape)
    except (OSError, ValueError) as error:
        raise UnreadableFileError(f'{path} should hold {"x".join(map(str, shape))} numbers: '
                                  f'{error}') from None


def intrinsics_of(matrix: np.ndarray, image: np.ndarray, path: Path) -> Intrinsics:
    """Intrinsics of an image from the left 3x3 part of a camera matrix in ``path``."""
    try:
        return Intrinsics(float(matrix[0, 0]), float(matrix[1, 1]), float(matrix[0, 2]),
                          float(matrix[1, 2]), image.shape[1], image.shape[0])
    except IntrinsicsError as error:
        raise UnreadableFileError(f'{path}: {error}') from None


def needed(module: str, dataset: str) -> Any:
    """An optional module.

    :raises DatasetError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise DatasetError(f'dataset "{dataset}" needs {module.partition(".")[0]}: pip install '
                           '"dense-perception-training[datasets]"') from None


def _read(path: Path, convert: Callable[[Image.Image], Image.Image] | None) -> np.ndarray:
    try:
        with Image.open(path) as picture:
            if convert is None and picture.mode in _GREY_MODES:
                return np.asarray(picture)
            return np.array(convert(picture) if convert else picture)
    except UnidentifiedImageError:
        raise UnreadableFileError(f'{path} is no picture') from None
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's PNG reader raises SyntaxError
        raise UnreadableFileError(f'{path} cannot be read: {error}') from None

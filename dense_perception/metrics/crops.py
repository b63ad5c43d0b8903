"""Which part of an image the published depth benchmarks look at."""

from __future__ import annotations

import numpy as np

# Rows and columns as shares of the height and width: from, to (from), to.
_GARG = (0.40810811, 0.99189189, 0.03594771, 0.96405229)
_EIGEN_KITTI = (0.3324324, 0.91351351, 0.0359477, 0.96405229)
_NYU_SIZE, _EIGEN_NYU = (480, 640), np.s_[45:471, 41:601]

CROPS = ('none', 'eigen_nyu', 'garg', 'eigen_kitti')
"""``eigen_nyu``: Eigen et al. 2014 on NYU; ``garg``: Garg et al. 2016 on KITTI; ``eigen_kitti``:
Eigen et al. 2014 on KITTI."""

KB_SIZE = 352, 1216


def crop_window(name: str, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns that count, of a truth of ``height`` x ``width``.

    :param name: one of :data:`CROPS`.
    :raises ValueError: an unknown name; ``eigen_nyu`` of an image that is not 480 x 640.
    """
    if name == 'none':
        return slice(0, height), slice(0, width)
    if name == 'eigen_nyu':
        if (height, width) != _NYU_SIZE:
            raise ValueError(f'the crop eigen_nyu is for 640x480 images, not {width}x{height}')
        return _EIGEN_NYU
    if name not in CROPS:
        raise ValueError(f'there is no crop "{name}"; known: {", ".join(CROPS)}')
    top, bottom, left, right = _GARG if name == 'garg' else _EIGEN_KITTI
    return (slice(int(top * height), int(bottom * height)),
            slice(int(left * width), int(right * width)))


def kb_window(height: int, width: int) -> tuple[slice, slice]:
    """The KITTI benchmark's crop: the bottom 352 rows and the middle 1216 columns.

    :raises ValueError: the image is smaller than that.
    """
    rows, columns = KB_SIZE
    if height < rows or width < columns:
        raise ValueError(f'the KITTI benchmark crop is {columns}x{rows}, the image is only '
                         f'{width}x{height}')
    left = (width - columns) // 2
    return slice(height - rows, height), slice(left, left + columns)


def put_back(prediction: np.ndarray, window: tuple[slice, slice], height: int,
             width: int) -> np.ndarray:
    """A prediction made on a window, at its place in a full-size image that is NaN elsewhere.

    Published KITTI numbers of BTS, AdaBins and their followers predict on the
    :func:`kb_window` and apply the crop ``garg`` to the full-size truth.
    """
    full = np.full((height, width), np.nan, np.float32)
    full[window] = prediction
    return full

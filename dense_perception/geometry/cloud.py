"""Organised point clouds: depth, normals, colour, class and confidence, point by point."""

from __future__ import annotations

import cv2
import numpy as np

from dense_perception.geometry.camera import Intrinsics

_NEAREST = float(np.finfo(np.float32).tiny)
_FARTHEST = float(np.finfo(np.float32).max)
_STRIP_PIXELS = 20_000
"""A cloud is built in strips of about so many points, whose working set fits into a cache."""


def point_dtype(rgb: bool = False, label: bool = False, confidence: bool = False,
                normals: bool = False) -> np.dtype:
    """Layout of one point: x, y, z and the chosen fields, padded to a multiple of 4 bytes.

    ``x y z``: float32 metres, optical frame. ``normal_x normal_y normal_z``: float32 unit vector,
    optical frame. ``rgb``: 0x00RRGGBB in the bits of a float32. Both follow the Point Cloud
    Library. ``label``, ``confidence``: uint8.
    """
    columns = [('x', '<f4'), ('y', '<f4'), ('z', '<f4')]
    columns += [(f'normal_{axis}', '<f4') for axis in 'xyz'] * normals
    columns += [('rgb', '<f4')] * rgb
    columns += [('label', 'u1')] * label + [('confidence', 'u1')] * confidence
    formats = [kind for _, kind in columns]
    sizes = [np.dtype(kind).itemsize for kind in formats]
    ends = np.cumsum(sizes)
    return np.dtype({'names': [name for name, _ in columns], 'formats': formats,
                     'offsets': [int(end) - size for end, size in zip(ends, sizes)],
                     'itemsize': int(-(-ends[-1] // 4) * 4)})


def within(depth: np.ndarray, nearest: float = 0.0, farthest: float = 0.0) -> np.ndarray:
    """Mask of the pixels whose depth is known and in range: uint8, 255 or 0.

    :param depth: float32 (H, W), metres along z; not finite or not above 0 = unknown.
    :param nearest: metres; a depth below is out of range.
    :param farthest: metres; a depth beyond is out of range; 0 = no limit.
    """
    return cv2.inRange(depth, max(nearest, _NEAREST), farthest or _FARTHEST)


def every_nth(intrinsics: Intrinsics, step: int) -> Intrinsics:
    """Intrinsics of the image made of every ``step``-th row and column, from the first on.

    Pixel (u, v) of it *is* pixel (step u, step v), so f' = f / step and c' = c / step, without
    the half pixel of a resize.
    """
    return Intrinsics(intrinsics.fx / step, intrinsics.fy / step, intrinsics.cx / step,
                      intrinsics.cy / step, -(-intrinsics.width // step),
                      -(-intrinsics.height // step))


class Selector:
    """Picks points of organised clouds into one buffer, reused while they fit."""

    def __init__(self) -> None:
        self._buffer = np.empty(0, point_dtype())

    def select(self, points: np.ndarray, where: np.ndarray) -> np.ndarray:
        """The points that a mask names.

        :param points: structured (H, W).
        :param where: bool (H, W).
        :return: structured (1, N), overwritten by the next call.
        """
        chosen = np.flatnonzero(where)
        if self._buffer.dtype != points.dtype or len(self._buffer) < len(chosen):
            self._buffer = np.empty(points.size, points.dtype)
        # Clipping spares the check of every index, which compress and plain take make.
        return np.take(points.reshape(-1), chosen, out=self._buffer[:len(chosen)],
                       mode='clip')[None]


class CloudBuilder:
    """Builds organised clouds into one buffer, reused while size and fields stay the same."""

    def __init__(self) -> None:
        self._points = np.empty((0, 0), point_dtype())
        self._z = np.empty((0, 0), np.float32)
        self._intrinsics: Intrinsics | None = None
        self._slopes = (np.empty((1, 0), np.float32), np.empty((0, 1), np.float32))

    def build(self, depth: np.ndarray, intrinsics: Intrinsics, rgb: np.ndarray | None = None,
              labels: np.ndarray | None = None, confidence: np.ndarray | None = None,
              normals: np.ndarray | None = None, keep: np.ndarray | None = None) -> np.ndarray:
        """Cloud of one depth image, pixel by pixel.

        :param depth: float32 (H, W), along z.
        :param intrinsics: of the depth image.
        :param rgb: uint8 (H, W, 3); gives the field ``rgb``.
        :param labels: uint8 (H, W); gives the field ``label``.
        :param confidence: uint8 (H, W); gives the field ``confidence``.
        :param normals: float32 (H, W, 3); gives ``normal_x``, ``normal_y``, ``normal_z``.
        :param keep: uint8 (H, W). Where it is 0 the point's x, y and z are NaN; its other fields
            are still filled. Default, and the most it may hold: :func:`within` of ``depth``.
        :return: structured (H, W) of :func:`point_dtype`, overwritten by the next call.
        :raises ValueError: an array has another shape or type, or the intrinsics another size.
        """
        size = (intrinsics.height, intrinsics.width)
        _check('depth', depth, size, np.float32)
        extras = (('rgb', rgb, (*size, 3)), ('label', labels, size),
                  ('confidence', confidence, size))
        for name, array, shape in (*extras, ('keep', keep, size)):
            if array is not None:
                _check(name, array, shape, np.uint8)
        if normals is not None:
            _check('normals', normals, (*size, 3), np.float32)
        self._prepare(intrinsics, point_dtype(rgb is not None, labels is not None,
                                              confidence is not None, normals is not None))
        keep = within(depth) if keep is None else keep
        scattered = [(name, array) for name, array, _ in extras if array is not None]
        from_to = self._byte_places(scattered)
        for top in range(0, size[0], len(self._z)):
            rows = slice(top, top + len(self._z))
            self._fill_xyz(rows, depth[rows], keep[rows])
            if scattered:
                point_bytes = self._points[rows].view(np.uint8)
                cv2.mixChannels([array[rows] for _, array in scattered],
                                [point_bytes.reshape(*depth[rows].shape, -1)], from_to)
            if normals is not None:
                for i, axis in enumerate('xyz'):
                    self._points[f'normal_{axis}'][rows] = normals[rows, :, i]
        return self._points

    def _prepare(self, intrinsics: Intrinsics, dtype: np.dtype) -> None:
        size = (intrinsics.height, intrinsics.width)
        if self._points.shape != size or self._points.dtype != dtype:
            self._points = np.zeros(size, dtype)  # zeros: padding bytes are never written again
            self._z = np.empty((max(1, _STRIP_PIXELS // size[1]), size[1]), np.float32)
        if self._intrinsics != intrinsics:
            across, down = intrinsics.ray_slopes()
            self._slopes = (across[None, :], down[:, None])
            self._intrinsics = intrinsics

    def _fill_xyz(self, rows: slice, depth: np.ndarray, keep: np.ndarray) -> None:
        z, points = self._z[:len(depth)], self._points[rows]
        z.fill(np.nan)
        cv2.copyTo(depth, keep, z)  # vectorised, which np.where is not
        across, down = self._slopes
        np.multiply(z, across, out=points['x'])
        np.multiply(z, down[rows], out=points['y'])
        points['z'] = z

    def _byte_places(self, extras: list[tuple[str, np.ndarray]]) -> list[int]:
        """Where the bytes of the uint8 arrays go in a point, as ``cv2.mixChannels`` wants it."""
        from_to: list[int] = []
        channel = 0
        for name, array in extras:
            offset = self._points.dtype.fields[name][1]
            # Little-endian 0x00RRGGBB lies in memory as B, G, R, 0.
            targets = (offset + 2, offset + 1, offset) if array.ndim == 3 else (offset,)
            for target in targets:
                from_to += [channel, target]
                channel += 1
        return from_to


def _check(name: str, array: np.ndarray, shape: tuple[int, ...], dtype: type) -> None:
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(f'{name} must be {np.dtype(dtype).name} of shape {shape}, as the '
                         f'intrinsics say; it is {array.dtype} of shape {array.shape}')

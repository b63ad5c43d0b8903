"""Surface normals from a depth map."""

from __future__ import annotations

import cv2
import numpy as np

from dense_perception.geometry.camera import Intrinsics

_BEND = 0.02  # of the inverse depth: what within a window is further from its plane is an edge


def normals_from_depth(depth: np.ndarray, camera: Intrinsics, window: int = 7) -> np.ndarray:
    """Unit normals in the optical frame that point out of the surface, towards the camera.

    The inverse depth of a plane is linear in the pixel's place, so a line fitted to it in a window
    gives planes exactly, and averages the noise of the others. Where a window has unknown depth or
    is no plane (edges, creases, narrow things), a window of 3 x 3 is tried.

    :param depth: float (H, W) along z; not finite or <= 0 = unknown.
    :param camera: of the depth map, at its size.
    :param window: odd number of pixels, at least 3.
    :returns: float32 (H, W, 3), NaN where no window lies on one surface.
    :raises ValueError: the window is even or below 3, or the camera is of another size.
    """
    if window < 3 or window % 2 == 0:
        raise ValueError(f'a window of {window} pixels is not odd or below 3')
    if depth.shape != (camera.height, camera.width):
        raise ValueError(f'depth of {depth.shape[1]}x{depth.shape[0]} does not fit the camera, '
                         f'which is {camera.width}x{camera.height}')
    known = np.isfinite(depth) & (depth > 0)
    inverse = np.where(known, 1 / np.where(known, depth, 1), 0).astype(np.float64)
    normals = _fitted(inverse, known, camera, window)
    if window > 3:
        normals = np.where(np.isnan(normals), _fitted(inverse, known, camera, 3), normals)
    return normals.astype(np.float32)


def _fitted(inverse: np.ndarray, known: np.ndarray, camera: Intrinsics,
            window: int) -> np.ndarray:
    """Normals of planes fitted to the inverse depth, NaN where a window is none."""
    reach = window // 2
    place = np.arange(-reach, reach + 1, dtype=np.float64)
    box = np.ones(window) / window
    slope = place / np.square(place).sum()

    def filtered(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return cv2.sepFilter2D(inverse, cv2.CV_64F, columns, rows, borderType=cv2.BORDER_REFLECT)

    middle, du, dv = filtered(box, box), filtered(box, slope), filtered(slope, box)
    # The mean of the squared residual follows from the sums, but not within rounding: look instead
    # at how far the plane is from the window's own pixels, in its middle and at its rim.
    around = np.ones((window, window), np.uint8)
    rim = reach * (np.abs(du) + np.abs(dv))
    limit = _BEND * middle
    whole = cv2.erode(known.astype(np.uint8), around, borderType=cv2.BORDER_CONSTANT,
                      borderValue=0) > 0
    flat = (np.abs(middle - inverse) < limit) \
        & (cv2.dilate(inverse, around) < middle + rim + limit) \
        & (cv2.erode(inverse, around) > middle - rim - limit)
    v, u = np.indices(inverse.shape)
    normals = np.stack([camera.fx * du, camera.fy * dv,
                        middle - (u - camera.cx) * du - (v - camera.cy) * dv], axis=2)
    normals /= -np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-12)
    return np.where((whole & flat)[..., None], normals, np.nan)

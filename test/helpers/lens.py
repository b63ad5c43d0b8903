"""Cameras with lenses from first principles: what they see of a plane that is painted with waves.

Nothing here calls the code under test or OpenCV: the lens models are written out as in their
publications, and inverted by Newton's method.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sensor_msgs.msg import CameraInfo, RegionOfInterest
from std_msgs.msg import Header

from dense_perception.geometry.mount import Mount

SENSOR = (320, 240)
# Looks down at the ground from 2 m: every ray of a camera with less than 110 degrees meets it.
MOUNT = Mount.from_pitch_roll(1.35, 0.1, 2.0)

LENSES: dict[str, tuple[str, tuple[float, ...]]] = {
    'plumb_bob 4': ('plumb_bob', (-0.25, 0.06, 0.002, -0.003)),
    'plumb_bob 5': ('plumb_bob', (-0.28, 0.09, 0.001, -0.002, -0.01)),
    'rational': ('rational_polynomial', (-0.05, 0.01, 0.001, -0.001, 0.002, 0.12, 0.03, -0.004)),
    'thin prism': ('rational_polynomial', (-0.2, 0.05, 0.001, 0.002, 0.0, 0.01, 0.0, 0.0,
                                           0.006, -0.002, -0.005, 0.003)),
    'tilted': ('rational_polynomial', (-0.2, 0.05, 0.001, 0.002, 0.0, 0.0, 0.0, 0.0,
                                       0.0, 0.0, 0.0, 0.0, 0.03, -0.02)),
    'equidistant': ('equidistant', (-0.03, 0.01, -0.004, 0.0005)),
    'equidistant, filled up': ('equidistant', (0.05, -0.01, 0.0, 0.0, 0.0))}


def lens_info(lens: str, p_scale: float = 0.85, angle: float = 0.0, binning: int = 0,
              roi: tuple[int, int, int, int] | None = None) -> CameraInfo:
    """CameraInfo of a 320x240 sensor behind one of ``LENSES``; R turns by ``angle`` about y."""
    model, coefficients = LENSES[lens]
    c, s = np.cos(angle), np.sin(angle)
    window = dict(zip(('x_offset', 'y_offset', 'width', 'height'), roi or ()))
    return CameraInfo(
        header=Header(frame_id='camera'), width=SENSOR[0], height=SENSOR[1],
        distortion_model=model, d=list(coefficients),
        k=[215.0, 0.0, 163.2, 0.0, 217.0, 117.9, 0.0, 0.0, 1.0],
        r=[c, 0.0, s, 0.0, 1.0, 0.0, -s, 0.0, c],
        p=[215 * p_scale, 0.0, 158.4, 0.0, 0.0, 213 * p_scale, 121.3, 0.0, 0.0, 0.0, 1.0, 0.0],
        binning_x=binning, binning_y=binning, roi=RegionOfInterest(**window))


def distorted(model: str, coefficients: tuple[float, ...], x: np.ndarray,
              y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a lens brings the point (x, y, 1): its place on the plane at z = 1."""
    r2 = x * x + y * y
    if model == 'equidistant':  # Kannala and Brandt 2006
        r = np.sqrt(r2)
        theta = np.arctan(r)
        bent = theta * (1 + sum(k * theta ** (2 * n + 2)
                                for n, k in enumerate(coefficients)))
        scale = np.where(r > 1e-9, bent / np.maximum(r, 1e-9), 1.0)
        return x * scale, y * scale
    k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4, tau_x, tau_y = (
        *coefficients, *[0.0] * (14 - len(coefficients)))
    radial = (1 + k1 * r2 + k2 * r2 ** 2 + k3 * r2 ** 3) / (
        1 + k4 * r2 + k5 * r2 ** 2 + k6 * r2 ** 3)
    u = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x) + s1 * r2 + s2 * r2 ** 2
    v = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y + s3 * r2 + s4 * r2 ** 2
    about_x = np.array([[1, 0, 0], [0, np.cos(tau_x), np.sin(tau_x)],
                        [0, -np.sin(tau_x), np.cos(tau_x)]])
    about_y = np.array([[np.cos(tau_y), 0, -np.sin(tau_y)], [0, 1, 0],
                        [np.sin(tau_y), 0, np.cos(tau_y)]])
    tilt = about_y @ about_x
    onto = np.array([[tilt[2, 2], 0, -tilt[0, 2]], [0, tilt[2, 2], -tilt[1, 2]], [0, 0, 1]])
    point = np.einsum('ij,j...->i...', onto @ tilt, np.stack([u, v, np.ones_like(u)]))
    return point[0] / point[2], point[1] / point[2]


def undistorted(model: str, coefficients: tuple[float, ...], u: np.ndarray,
                v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inverse of ``distorted``."""
    x, y, step = u.copy(), v.copy(), 1e-6
    for _ in range(12):
        u0, v0 = distorted(model, coefficients, x, y)
        ux, vx = distorted(model, coefficients, x + step, y)
        uy, vy = distorted(model, coefficients, x, y + step)
        a, b, c, d = (ux - u0) / step, (uy - u0) / step, (vx - v0) / step, (vy - v0) / step
        du, dv, det = u - u0, v - v0, a * d - b * c
        x, y = x + (d * du - b * dv) / det, y + (a * dv - c * du) / det
    again = distorted(model, coefficients, x, y)
    assert max(np.abs(again[0] - u).max(), np.abs(again[1] - v).max()) < 1e-9
    return x, y


def paint(points: np.ndarray) -> np.ndarray:
    """Colours, float (..., 3) of 0 .. 255, of points (..., 3) of the ground: a wave in each."""
    x, y = points[..., 0], points[..., 1]
    waves = np.stack([x, y, (x + y) / np.sqrt(2)], axis=-1)
    return 127.5 + 110 * np.sin(2 * np.pi / 0.45 * waves)


def picture(info: CameraInfo, mount: Mount = MOUNT) -> np.ndarray:
    """Raw image, uint8 RGB, that the camera of ``info`` gives of the painted ground.

    :param mount: in the frame of the rectified camera.
    """
    left, top = info.roi.x_offset, info.roi.y_offset
    width, height = info.roi.width or info.width, info.roi.height or info.height
    v, u = np.mgrid[top:top + height, left:left + width].astype(float)
    k = info.k
    x, y = undistorted(info.distortion_model, tuple(info.d), (u - k[2]) / k[0],
                       (v - k[5]) / k[4])
    rays = np.stack([x, y, np.ones_like(x)], axis=-1) @ np.reshape(info.r, (3, 3)).T
    depth = mount.height / (rays @ np.array(mount.down))
    assert (depth > 0).all()
    sensor = paint(rays * depth[..., None])
    bx, by = max(info.binning_x, 1), max(info.binning_y, 1)
    cells = sensor[:height // by * by, :width // bx * bx].reshape(height // by, by, width // bx,
                                                                  bx, 3)
    return cells.mean(axis=(1, 3)).round().astype(np.uint8)


@dataclass(frozen=True)
class Displacement:
    """How far colours are from where they belong, in pixels: of the whole image, of any block."""

    mean: float
    worst: float


def displacement(colours: np.ndarray, points: np.ndarray) -> Displacement:
    """Compare an image with the paint at the points that its pixels are said to show.

    Each block's shift is the least-squares solution of Lucas and Kanade; about a wave must fit
    into a block, for interpolation flattens waves, and half of one looks shifted then. Blocks
    with points that are not finite are left out.

    :param colours: (height, width, 3), 0 .. 255.
    :param points: (height, width, 3), metres, NaN where unknown.
    """
    expected = paint(points)
    error = colours.astype(float) - expected
    gradients = np.stack([np.gradient(expected, axis=1), np.gradient(expected, axis=0)], axis=-1)
    shifts = []
    block = max(16, expected.shape[1] // 8)
    for top in range(0, expected.shape[0] - block + 1, block):
        for left in range(0, expected.shape[1] - block + 1, block):
            cell = np.s_[top:top + block, left:left + block]
            g, e = gradients[cell].reshape(-1, 2), error[cell].reshape(-1)
            if np.isfinite(g).all():
                shifts.append(np.linalg.solve(g.T @ g, g.T @ e))
    assert len(shifts) >= 6
    return Displacement(float(np.hypot(*np.mean(shifts, axis=0))),
                        float(np.hypot(*np.transpose(shifts)).max()))

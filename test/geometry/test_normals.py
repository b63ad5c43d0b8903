"""Normals of planes, of edges between them, and of depth with noise."""

from __future__ import annotations

import numpy as np
import pytest

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.normals import normals_from_depth

CAMERA = Intrinsics(100.0, 110.0, 39.0, 30.0, 80, 60)


def plane(normal: tuple[float, float, float], distance: float) -> np.ndarray:
    """Depth of the plane normal . x = distance."""
    v, u = np.indices((60, 80))
    rays = np.stack([(u - 39.0) / 100, (v - 30.0) / 110, np.ones((60, 80))], axis=2)
    return distance / (rays @ np.array(normal) / np.linalg.norm(normal))


@pytest.mark.parametrize('normal', [(0, 0, 1), (0.3, -0.5, 0.8), (-0.6, 0.1, 0.7)])
def test_planes_are_exact_and_face_the_camera(normal):
    found = normals_from_depth(plane(normal, 2.0).astype(np.float64), CAMERA)
    inside = found[3:-3, 3:-3]
    expected = -np.array(normal) / np.linalg.norm(normal)
    assert found.dtype == np.float32
    np.testing.assert_allclose(inside, np.broadcast_to(expected, inside.shape), atol=1e-5)
    assert np.isnan(found[0]).all() and np.isnan(found[:, -1]).all()


def test_half_floats_cost_less_than_a_degree():
    normal = -np.array([0.1, 0.9, 0.2]) / np.linalg.norm([0.1, 0.9, 0.2])
    depth = plane((0.1, 0.9, 0.2), 0.5)  # the floor, below the horizon only
    depth = np.where((depth > 0) & (depth < 6), depth, np.nan).astype(np.float16)
    found = normals_from_depth(depth.astype(np.float32), CAMERA)
    known = np.isfinite(found[..., 0])
    angles = np.degrees(np.arccos(np.clip(found[known] @ normal, -1, 1)))
    assert known.mean() > 0.2 and np.mean(angles) < 1 and np.percentile(angles, 95) < 2.5


def test_no_normal_mixes_two_surfaces_and_unknown_stays_unknown():
    depth = plane((0, 0, 1), 2.0)
    depth[:, 40:] = plane((0.5, 0, 0.8), 4.0)[:, 40:]
    depth[10, 10] = np.nan
    depth[20, 10] = 0
    found = normals_from_depth(depth, CAMERA)
    assert np.isnan(found[:, 39:41]).all()
    for columns, normal in ((slice(0, 39), (0, 0, 1)), (slice(41, 80), (0.5, 0, 0.8))):
        half = found[:, columns]
        known = np.isfinite(half[..., 0])
        cosine = half[known] @ (-np.array(normal) / np.linalg.norm(normal))
        assert known.mean() > 0.85 and cosine.min() > 0.9999
    assert np.isnan(found[9:12, 9:12]).all() and np.isnan(found[19:22, 9:12]).all()
    assert np.isfinite(found[10, 13]).all()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match='odd'):
        normals_from_depth(plane((0, 0, 1), 2.0), CAMERA, 4)
    with pytest.raises(ValueError, match='80x60'):
        normals_from_depth(np.ones((30, 40)), CAMERA)

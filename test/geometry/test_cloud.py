"""Clouds against analytic scenes, and their layout in memory."""

from __future__ import annotations

import numpy as np
import pytest

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.cloud import (
    CloudBuilder,
    Selector,
    every_nth,
    point_dtype,
    within,
)
from dense_perception.geometry.mount import Mount

CAMERA = Intrinsics(300.0, 310.0, 161.3, 118.2, 320, 240)
SIZE = (CAMERA.height, CAMERA.width)


def stack(cloud: np.ndarray) -> np.ndarray:
    return np.stack([cloud['x'], cloud['y'], cloud['z']], axis=-1)


def random_images(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (rng.integers(0, 256, (*SIZE, 3), np.uint8), rng.integers(0, 256, SIZE, np.uint8),
            rng.integers(0, 256, SIZE, np.uint8))


def test_points_lie_on_a_slanted_plane_and_on_their_pixels():
    normal, distance = np.array([0.2, -0.3, 0.9]), 4.0
    x, y = CAMERA.ray_slopes()
    depth = (distance / (normal[0] * x[None] + normal[1] * y[:, None] + normal[2])).astype('f4')
    points = stack(CloudBuilder().build(depth, CAMERA)).astype(np.float64)
    assert np.abs(points @ normal - distance).max() < 1e-5
    u = CAMERA.fx * points[..., 0] / points[..., 2] + CAMERA.cx
    v = CAMERA.fy * points[..., 1] / points[..., 2] + CAMERA.cy
    assert np.abs(u - np.arange(CAMERA.width)[None]).max() < 1e-3
    assert np.abs(v - np.arange(CAMERA.height)[:, None]).max() < 1e-3


def test_ground_of_a_pitched_and_rolled_mount_is_level():
    mount = Mount.from_pitch_roll(0.3, 0.1, 0.8)
    points = stack(CloudBuilder().build(mount.ground_depth(CAMERA), CAMERA))
    near = points[points[..., 2] < 50]  # float32 cannot hold millimetres near the horizon
    assert len(near) > 0.5 * CAMERA.width * CAMERA.height
    assert np.abs(near @ np.array(mount.down, np.float32) - mount.height).max() < 1e-4


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf, 0.0, -1.0])
def test_a_pixel_without_depth_has_no_point(bad: float):
    depth = np.full(SIZE, 2.0, np.float32)
    depth[5, 7] = bad
    rgb, labels, confidence = random_images()
    cloud = CloudBuilder().build(depth, CAMERA, rgb, labels, confidence)
    valid = np.isfinite(stack(cloud)).all(axis=-1)
    assert not np.isfinite(stack(cloud)[5, 7]).any()
    assert valid.sum() == valid.size - 1
    assert cloud['label'][5, 7] == labels[5, 7]


def test_colour_class_and_confidence_are_bit_exact():
    rgb, labels, confidence = random_images()
    depth = np.ones(SIZE, np.float32)
    cloud = CloudBuilder().build(depth, CAMERA, rgb, labels, confidence)
    packed = np.ascontiguousarray(cloud['rgb']).view(np.uint32)
    wide = rgb.astype(np.uint32)
    assert np.array_equal(packed, wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2])
    assert np.array_equal(cloud['label'], labels)
    assert np.array_equal(cloud['confidence'], confidence)


def test_padded_and_reversed_inputs_give_the_same_cloud():
    rgb, labels, _ = random_images()
    depth = np.full(SIZE, 3.0, np.float32)
    expected = CloudBuilder().build(depth, CAMERA, rgb, labels).tobytes()
    padded = np.zeros((SIZE[0], SIZE[1] + 9, 3), np.uint8)
    padded[:, :-9] = rgb
    reversed_twice = np.ascontiguousarray(labels[:, ::-1])[:, ::-1]
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    builder = CloudBuilder()
    assert builder.build(depth, CAMERA, padded[:, :-9], reversed_twice).tobytes() == expected
    assert builder.build(depth, CAMERA, bgr[..., ::-1], labels).tobytes() == expected


@pytest.mark.parametrize(('fields', 'step'), [
    ((), 12), (('rgb',), 16), (('label',), 16), (('confidence',), 16),
    (('rgb', 'label'), 20), (('label', 'confidence'), 16), (('rgb', 'label', 'confidence'), 20),
    (('normals',), 24), (('normals', 'rgb', 'label'), 32)])
def test_layout_is_compact_and_aligned(fields: tuple[str, ...], step: int):
    dtype = point_dtype(**dict.fromkeys(fields, True))
    names = [f'normal_{axis}' for axis in 'xyz'] if 'normals' in fields else []
    assert dtype.names == ('x', 'y', 'z', *names, *(f for f in fields if f != 'normals'))
    assert dtype.itemsize == step
    assert all(offset % kind.itemsize == 0 for kind, offset in dtype.fields.values())


def test_buffer_is_reused_until_size_or_fields_change():
    builder = CloudBuilder()
    depth = np.ones(SIZE, np.float32)
    rgb, labels, _ = random_images()
    first = builder.build(depth, CAMERA, rgb)
    other_camera = Intrinsics(200.0, 200.0, 10.0, 20.0, CAMERA.width, CAMERA.height)
    again = builder.build(depth * 2, other_camera, rgb)
    assert again is first
    assert again['x'][0, 0] == np.float32(2 * -10.0 / 200.0)
    assert builder.build(depth, CAMERA, rgb, labels) is not first
    small = CAMERA.resized(64, 48)
    assert builder.build(np.ones((48, 64), np.float32), small).shape == (48, 64)


def test_wrong_arrays_are_refused_with_both_shapes():
    depth = np.ones(SIZE, np.float32)
    with pytest.raises(ValueError, match=r'depth must be float32 of shape \(240, 320\).*float64'):
        CloudBuilder().build(depth.astype(np.float64), CAMERA)
    with pytest.raises(ValueError, match=r'rgb must be uint8 of shape \(240, 320, 3\)'):
        CloudBuilder().build(depth, CAMERA, rgb=np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(ValueError, match='label must be uint8'):
        CloudBuilder().build(depth, CAMERA, labels=np.zeros(SIZE, np.int32))
    with pytest.raises(ValueError, match='confidence must be uint8'):
        CloudBuilder().build(depth, CAMERA, confidence=np.zeros((*SIZE, 1), np.uint8))
    with pytest.raises(ValueError, match=r'normals must be float32 of shape \(240, 320, 3\)'):
        CloudBuilder().build(depth, CAMERA, normals=np.zeros(SIZE, np.float32))
    with pytest.raises(ValueError, match='keep must be uint8'):
        CloudBuilder().build(depth, CAMERA, keep=np.ones(SIZE, bool))


def test_only_what_is_kept_has_a_point():
    rgb, labels, _ = random_images()
    depth = np.full(SIZE, 2.0, np.float32)
    keep = np.where(labels > 100, 255, 0).astype(np.uint8)
    cloud = CloudBuilder().build(depth, CAMERA, rgb, labels, keep=keep)
    np.testing.assert_array_equal(np.isfinite(stack(cloud)).all(axis=-1), keep > 0)
    np.testing.assert_array_equal(np.isfinite(stack(cloud)).any(axis=-1), keep > 0)
    np.testing.assert_array_equal(cloud['label'], labels)


def test_range_limits_are_inclusive_and_unknown_is_never_within():
    depth = np.array([[np.nan, np.inf, -np.inf, 0, -1, 0.5, 1, 2, 3, 3.5]], np.float32)
    known, cut = within(depth)[0], within(depth, 1.0, 3.0)[0]
    assert known.tolist() == [0] * 5 + [255] * 5
    assert cut.tolist() == [0] * 6 + [255] * 3 + [0]
    assert within(depth, 1.0)[0].tolist() == [0] * 6 + [255] * 4


@pytest.mark.parametrize('step', [1, 2, 3, 7, 240, 1000])
def test_every_nth_pixel_is_the_same_point(step: int):
    """The strided cloud's intrinsics give its points the places they have in the full one."""
    depth = np.random.default_rng(0).uniform(1, 9, SIZE).astype(np.float32)
    full = stack(CloudBuilder().build(depth, CAMERA))[::step, ::step]
    camera = every_nth(CAMERA, step)
    thinned = np.ascontiguousarray(depth[::step, ::step])
    np.testing.assert_allclose(stack(CloudBuilder().build(thinned, camera)), full, rtol=1e-5,
                               atol=1e-6)


def test_normals_travel_with_their_points():
    normals = np.random.default_rng(0).normal(size=(*SIZE, 3)).astype(np.float32)
    rgb, labels, confidence = random_images()
    cloud = CloudBuilder().build(np.ones(SIZE, np.float32), CAMERA, rgb, labels, confidence,
                                 normals)
    for i, axis in enumerate('xyz'):
        np.testing.assert_array_equal(cloud[f'normal_{axis}'], normals[..., i])
    np.testing.assert_array_equal(cloud['confidence'], confidence)


def test_a_selection_is_a_list_of_the_named_points_whatever_came_before():
    rgb, labels, _ = random_images()
    builder, selector = CloudBuilder(), Selector()
    depth = np.ones(SIZE, np.float32)
    for cloud in (builder.build(depth, CAMERA), builder.build(depth * 2, CAMERA, rgb, labels)):
        for share in (0.3, 0.9, 0.0, 1.0, 0.01):
            where = np.random.default_rng(1).random(SIZE) < share
            chosen = selector.select(cloud, where)
            assert chosen.shape == (1, np.count_nonzero(where))
            np.testing.assert_array_equal(chosen[0], cloud[where])

"""The ground plane and the split of analytic scenes whose ground and obstacles are known."""

from __future__ import annotations

import numpy as np
import pytest

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.cloud import within
from dense_perception.geometry.ground import (
    GROUND,
    OBSTACLE,
    GroundSplit,
    HeightLimits,
    fit_ground,
)
from dense_perception.geometry.mount import Mount

CAMERA = Intrinsics(220.0, 215.0, 158.0, 120.0, 320, 240)
MOUNTS = [Mount.from_pitch_roll(pitch, roll, height)
          for pitch, roll, height in ((0.0, 0.0, 0.3), (0.3, 0.1, 0.9), (0.6, -0.4, 1.6))]
FLOOR, BOX, SKY = 7, 3, 9
LIMITS = HeightLimits(0.1, 2.0)


def scene(mount: Mount) -> tuple[np.ndarray, np.ndarray]:
    """A floor up to a wall four metres away with a box before it: depth and labels."""
    ground = mount.ground_depth(CAMERA)
    depth = np.fmin(ground, np.float32(4.0))
    depth[:, 100:160] = np.fmin(depth[:, 100:160], np.float32(1.8))
    labels = np.where(depth == ground, FLOOR, BOX).astype(np.uint8)
    return depth, labels


def height_of(depth: np.ndarray, mount: Mount) -> np.ndarray:
    return mount.height - depth * mount.descent(CAMERA)


def angle(a: Mount, b: Mount) -> float:
    return float(np.degrees(np.arccos(np.clip(np.dot(a.down, b.down), -1, 1))))


@pytest.mark.parametrize('mount', MOUNTS)
@pytest.mark.parametrize('by_class', [True, False])
def test_the_plane_is_found_among_walls_and_noise(mount: Mount, by_class: bool):
    depth, labels = scene(mount)
    noise = np.random.default_rng(1).normal(1, 0.005, depth.shape)
    depth = (depth * noise).astype(np.float32)
    candidates = within(depth)
    if by_class:
        candidates &= (labels == FLOOR).astype(np.uint8) * 255
    found = fit_ground(depth, CAMERA, candidates)
    assert found is not None
    assert angle(found, mount) < 0.5
    assert found.height == pytest.approx(mount.height, rel=0.01)


def test_a_table_top_is_not_the_ground():
    mount = Mount.from_pitch_roll(0.5, 0.0, 1.5)
    depth = mount.ground_depth(CAMERA)
    table = Mount(mount.down, 0.6).ground_depth(CAMERA)
    depth[130:, 60:300] = table[130:, 60:300]
    found = fit_ground(depth, CAMERA, within(depth))
    assert found is not None and found.height == pytest.approx(1.5, rel=0.02)


@pytest.mark.parametrize('depth', [
    np.full((240, 320), np.nan, np.float32), np.zeros((240, 320), np.float32),
    np.full((240, 320), 2.0, np.float32),
    np.random.default_rng(0).uniform(0.5, 9, (240, 320)).astype(np.float32),
    -Mount.from_pitch_roll(0.3, 0.0, 1.0).ground_depth(CAMERA)],
    ids=['unknown', 'zero', 'wall ahead', 'noise', 'negative'])
def test_no_ground_in_view_gives_no_plane(depth: np.ndarray):
    assert fit_ground(depth, CAMERA, within(depth)) is None


def test_a_handful_of_candidates_is_not_enough():
    depth = MOUNTS[1].ground_depth(CAMERA)
    few = np.zeros((240, 320), np.uint8)
    few[200:216, 100:140:4] = 255
    assert fit_ground(depth, CAMERA, few) is None
    line = np.zeros((240, 320), np.uint8)
    line[200] = 255
    assert fit_ground(depth, CAMERA, line) is None


@pytest.mark.parametrize('mount', MOUNTS)
def test_height_alone_tells_ground_from_obstacles(mount: Mount):
    depth, _ = scene(mount)
    kinds = GroundSplit().split(depth, within(depth), CAMERA, None, mount, LIMITS)
    height = height_of(depth, mount)
    clear = np.abs(np.abs(height) - 0.1) > 1e-4
    np.testing.assert_array_equal((kinds == GROUND)[clear], (np.abs(height) < 0.1)[clear])
    np.testing.assert_array_equal((kinds == OBSTACLE)[clear],
                                  ((height > 0.1) & (height < 2.0))[clear])


def test_class_alone_tells_ground_from_obstacles():
    depth, labels = scene(MOUNTS[1])
    labels[:40] = SKY
    split = GroundSplit([FLOOR], [BOX], [SKY])
    kinds = split.split(depth, within(depth), CAMERA, labels, None, LIMITS)
    np.testing.assert_array_equal(kinds == GROUND, labels == FLOOR)
    np.testing.assert_array_equal(kinds == OBSTACLE, labels == BOX)


def test_contradictions_are_neither():
    mount = MOUNTS[1]
    depth, labels = scene(mount)
    height = height_of(depth, mount)
    labels[200:, :50] = BOX  # flat ground, called a box
    labels[:100, 110:150] = FLOOR  # the box, called floor
    kinds = GroundSplit([FLOOR], [BOX]).split(depth, within(depth), CAMERA, labels, mount, LIMITS)
    assert not kinds[200:, :50].any()
    assert not kinds[:100, 110:150].any()
    assert (kinds[(labels == FLOOR) & (np.abs(height) < 0.09)] == GROUND).all()
    low = (height > 0.11) & (height < 1.9)
    assert (kinds[(labels == BOX) & low] == OBSTACLE).all()


def test_an_unknown_class_goes_by_height_or_is_neither():
    mount = MOUNTS[1]
    depth, labels = scene(mount)
    keep, split = within(depth), GroundSplit([FLOOR], [BOX])
    by_height = GroundSplit().split(depth, keep, CAMERA, None, mount, LIMITS)
    labels[:, ::2] = 255
    with_plane = split.split(depth, keep, CAMERA, labels, mount, LIMITS)
    np.testing.assert_array_equal(with_plane[:, ::2], by_height[:, ::2])
    alone = split.split(depth, keep, CAMERA, labels, None, LIMITS)
    assert not alone[:, ::2].any() and set(np.unique(alone)) == {0, GROUND, OBSTACLE}


def test_what_is_not_kept_is_neither():
    depth, labels = scene(MOUNTS[1])
    keep = within(depth)
    keep[::2] = 0
    for plane in (None, MOUNTS[1]):
        kinds = GroundSplit([FLOOR], [BOX]).split(depth, keep, CAMERA, labels, plane, LIMITS)
        assert not kinds[::2].any() and kinds[1::2].any()


def test_a_hole_is_neither_ground_nor_obstacle():
    mount = MOUNTS[1]
    depth = Mount(mount.down, mount.height + 0.3).ground_depth(CAMERA)
    assert not GroundSplit().split(depth, within(depth), CAMERA, None, mount, LIMITS).any()


def test_without_class_and_plane_there_is_no_answer():
    depth, labels = scene(MOUNTS[0])
    keep = within(depth)
    assert GroundSplit().split(depth, keep, CAMERA, labels, None, LIMITS) is None
    assert GroundSplit([FLOOR], [BOX]).split(depth, keep, CAMERA, None, None, LIMITS) is None
    assert not GroundSplit([], [BOX], [SKY]).knows_classes


@pytest.mark.parametrize('bad', [np.nan, np.inf, 0.0, -1.0])
def test_bad_depth_is_neither(bad: float):
    depth = np.full((240, 320), bad, np.float32)
    labels = np.full((240, 320), FLOOR, np.uint8)
    split = GroundSplit([FLOOR], [BOX])
    for plane in (None, MOUNTS[1]):
        kinds = split.split(depth, within(depth), CAMERA, labels, plane, LIMITS)
        assert not kinds.any()


def test_the_mount_may_change_from_frame_to_frame():
    split = GroundSplit()
    for mount in (*MOUNTS, MOUNTS[0]):
        depth, _ = scene(mount)
        kinds = split.split(depth, within(depth), CAMERA, None, mount, LIMITS)
        alone = GroundSplit().split(depth, within(depth), CAMERA, None, mount, LIMITS)
        np.testing.assert_array_equal(kinds, alone)

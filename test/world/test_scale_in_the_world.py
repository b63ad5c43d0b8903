"""Relative depth of the procedural world gets its metres back, from the ground or from points."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('mujoco', reason='the procedural world needs mujoco')

from dense_perception.cli.benchmarks.sensors import points_of
from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.scale import (
    AMBIGUITIES,
    align,
    ground_samples,
    point_samples,
)
from dense_perception.world.classes import GROUND
from dense_perception.world.renderer import Renderer, RenderError, View, WorldFrame
from dense_perception.world.scene import make_scene

CAMERA = Intrinsics(100.0, 101.0, 79.0, 64.0, 160, 128)
SCALE, SHIFT = 0.02, 0.05
LEVEL, SEED = ('room', 'office', 'corridor', 'hall', 'yard'), 1


@pytest.fixture(scope='module')
def frames() -> list[WorldFrame]:
    """A view of each kind of scene whose ground is level, from where a robot sees some of it."""
    try:
        renderer = Renderer(CAMERA.width, CAMERA.height)
    except RenderError as error:
        pytest.skip(str(error))
    found = []
    rng = np.random.default_rng(0)
    for kind in LEVEL:
        scene = make_scene(SEED, 'held_out', kind)
        renderer.load(scene)
        x0, y0, x1, y1 = scene.free
        x, y = max(rng.uniform((x0, y0), (x1, y1), (60, 2)), key=lambda p: scene.clearance(*p))
        views = [renderer.render(View(x, y, 0.8, yaw, pitch=0.25, roll=0.03), CAMERA)
                 for yaw in np.arange(6)]
        found.append(max(views, key=lambda f: np.mean(f.labels == GROUND)))
    renderer.close()
    return found


def relative(depth: np.ndarray, ambiguity: str, seed: int) -> np.ndarray:
    noisy = depth * np.random.default_rng(seed).normal(1, 0.03, depth.shape)
    if ambiguity == 'scale':
        return (noisy / SCALE).astype(np.float32)
    target = 1 / noisy if ambiguity == 'inverse_affine' else noisy
    return ((target - SHIFT) / SCALE).astype(np.float32)


def abs_rel(depth: np.ndarray, truth: np.ndarray) -> float:
    known = np.isfinite(truth) & np.isfinite(depth) & (truth < 10)
    assert known.sum() > 0.8 * (truth < 10).sum()
    return float(np.mean(np.abs(depth[known] / truth[known] - 1)))


@pytest.mark.parametrize('ambiguity', AMBIGUITIES)
def test_from_the_labelled_ground(frames: list[WorldFrame], ambiguity: str):
    for seed, frame in enumerate(frames):
        predicted = relative(frame.depth, ambiguity, seed)
        found = align(*ground_samples(predicted, CAMERA, frame.mount, frame.labels == GROUND),
                      ambiguity, nothing_beyond=True)
        assert found.inliers > 0.95
        assert abs_rel(found.depth(predicted), frame.depth) < 0.06


@pytest.mark.parametrize('ambiguity', AMBIGUITIES)
def test_from_the_ground_without_labels(frames: list[WorldFrame], ambiguity: str):
    for seed, frame in enumerate(frames):
        predicted = relative(frame.depth, ambiguity, seed)
        found = align(*ground_samples(predicted, CAMERA, frame.mount), ambiguity,
                      nothing_beyond=True)
        assert abs_rel(found.depth(predicted), frame.depth) < 0.07


@pytest.mark.parametrize('ambiguity', AMBIGUITIES)
def test_from_sparse_points_of_which_some_are_wrong(frames: list[WorldFrame], ambiguity: str):
    for seed, frame in enumerate(frames):
        predicted = relative(frame.depth, ambiguity, seed)
        points = points_of(frame.depth, CAMERA, np.random.default_rng(seed))
        found = align(*point_samples(predicted, CAMERA, points), ambiguity)
        assert abs_rel(found.depth(predicted), frame.depth) < 0.04

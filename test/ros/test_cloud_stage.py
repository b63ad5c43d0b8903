"""The clouds of a known corridor: who becomes a point, who is ground, who an obstacle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.corridor_model import (
    BOX,
    CAMERA,
    CEILING,
    CLASSES,
    FLOOR,
    HEIGHT,
    MOUNT,
    WALL,
    WIDTH,
    corridor,
)
from helpers.plane_model import plane_card

from dense_perception.geometry.ground import HeightLimits
from dense_perception.inference.prediction import Prediction
from dense_perception.ros.cloud_settings import FLYING_PIXELS, KEEP, REMOVE, CloudSettings
from dense_perception.ros.cloud_stage import Clouds, CloudStage, Judgement, Wants, resized

SCENE = corridor()
IMAGE = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
EVERYTHING = Wants(True, True, True)
SETTINGS = CloudSettings()
CARD = plane_card(HEIGHT, WIDTH, classes=CLASSES)
CLASS_HEIGHTS = (MOUNT.height - SCENE.depth * MOUNT.descent(CAMERA))


def run(prediction: Prediction | None = None, settings: CloudSettings = SETTINGS,
        wants: Wants = EVERYTHING, mount=MOUNT, image: np.ndarray = IMAGE,
        intrinsics=CAMERA, stage: CloudStage | None = None) -> Clouds:
    stage, prediction = stage or CloudStage(CARD), prediction or predicted()
    judgement = stage.judge(prediction, intrinsics, mount, wants, settings)
    shown = replace(prediction, **{name: resized(getattr(prediction, name), image.shape[:2])
                                   for name in ('depth', 'labels', 'confidence', 'normals')})
    return stage.build(judgement, shown, image, intrinsics, wants, settings)


def predicted(**changes: object) -> Prediction:
    return replace(Prediction(SCENE.depth, SCENE.labels, SCENE.confidence, True, SCENE.normals),
                   **changes)


def has_point(points: np.ndarray) -> np.ndarray:
    return np.isfinite(points['z'])


@pytest.mark.parametrize('mount', [MOUNT, None], ids=['mount', 'fitted'])
@pytest.mark.parametrize('labels', [SCENE.labels, None], ids=['classes', 'no classes'])
def test_floor_is_ground_and_what_stands_on_it_an_obstacle(mount, labels):
    clouds = run(predicted(labels=labels), mount=mount)
    ground, obstacles = (np.sort(c['z'][0]) for c in (clouds.ground, clouds.obstacles))
    clear = np.abs(CLASS_HEIGHTS - 0.1) > 0.01
    floor = SCENE.depth[(SCENE.labels == FLOOR)]
    assert len(ground) >= 0.97 * len(floor)
    if labels is not None:
        assert set(np.unique(clouds.ground['label'])) == {FLOOR}
        assert set(np.unique(clouds.obstacles['label'])) == {WALL, BOX}
    tall = (SCENE.labels != FLOOR) & (CLASS_HEIGHTS > 0.1) & (CLASS_HEIGHTS < 2.0) & clear
    if labels is None:  # then the ceiling above 2 m is all that height can leave out
        assert (obstacles > 0).all()
    assert abs(len(obstacles) - np.count_nonzero(tall)) < 0.05 * np.count_nonzero(tall)
    assert not clouds.split_failed


def test_a_robot_may_be_taller():
    heights = HeightLimits(0.1, 0.6)
    clouds = run(settings=replace(SETTINGS, heights=heights))
    points = clouds.obstacles[0]
    height = MOUNT.height - sum(points[a] * d for a, d in zip('xyz', MOUNT.down))
    assert len(points) and height.max() <= 0.601 and height.min() >= 0.099


def test_range_confidence_and_flying_pixels_decide_who_becomes_a_point():
    smeared = SCENE.depth.copy()
    smeared[40:60, 30] = 0.5 * (SCENE.depth[40:60, 28] + 20)
    settings = replace(SETTINGS, min_range=2.0, max_range=5.0, min_confidence=100,
                       flying_pixels=KEEP)
    points = run(predicted(depth=smeared), settings).points
    expected = (smeared >= 2) & (smeared <= 5) & (SCENE.confidence >= 100)
    np.testing.assert_array_equal(has_point(points), expected)
    np.testing.assert_array_equal(points['confidence'], SCENE.confidence)
    np.testing.assert_array_equal(points['normal_x'], SCENE.normals[..., 0])


def smeared_box() -> tuple[np.ndarray, np.ndarray]:
    """The corridor with its depth mixed over the box's left edge, and where that is in the air."""
    depth, flying = SCENE.depth.copy(), np.zeros(SCENE.depth.shape, bool)
    rows, columns = np.nonzero(SCENE.labels == BOX)
    for row in np.unique(rows):
        edge = columns[rows == row].min()
        near, far = SCENE.depth[row, edge], SCENE.depth[row, edge - 3]
        depth[row, edge - 2], depth[row, edge - 1] = (2 * far + near) / 3, (far + 2 * near) / 3
        flying[row, edge - 2:edge] = far > 1.4 * near
    return depth, flying


def test_flying_pixels_leave_the_clouds_unless_they_may_stay():
    smeared, flying = smeared_box()
    gone = ~has_point(run(predicted(depth=smeared)).points)
    assert gone[flying].mean() > 0.95 and gone[~flying].mean() < 0.02
    kept = run(predicted(depth=smeared), replace(SETTINGS, flying_pixels=KEEP))
    assert has_point(kept.points).all()
    stage = CloudStage(CARD)
    for wants, camera in ((Wants(), CAMERA), (EVERYTHING, None), (EVERYTHING, CAMERA)):
        judgement = stage.judge(predicted(depth=smeared), camera, MOUNT, wants,
                                replace(SETTINGS, flying_pixels=REMOVE))
        np.testing.assert_array_equal(judgement.flying > 0, gone)
    assert stage.judge(predicted(), CAMERA, MOUNT, Wants(), SETTINGS) == Judgement()


@pytest.mark.parametrize('step', [1, 2, 5, 64])
@pytest.mark.parametrize('factor', [1, 3])
def test_the_strided_cloud_is_part_of_the_whole(step: int, factor: int):
    size = (factor * HEIGHT, factor * WIDTH)
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    camera = CAMERA.resized(size[1], size[0])
    whole = run(image=image, intrinsics=camera).points
    part = run(image=image, intrinsics=camera, settings=replace(SETTINGS, stride=step))
    assert whole.shape == size
    assert part.points.shape == (-(-size[0] // step), -(-size[1] // step))
    for name in whole.dtype.names:
        np.testing.assert_allclose(part.points[name], whole[name][::step, ::step], rtol=1e-5,
                                   atol=1e-6)
    assert step == 64 or part.obstacles.size > 0


def test_nothing_is_built_that_nobody_wants():
    assert run(wants=Wants()) == Clouds()
    assert run(intrinsics=None) == Clouds()
    only_ground = run(wants=Wants(ground=True))
    assert only_ground.points is None and only_ground.obstacles is None
    assert only_ground.ground.size


def test_without_classes_and_ground_in_view_there_is_no_split_but_a_cloud():
    wall = np.full((HEIGHT, WIDTH), 2.0, np.float32)
    clouds = run(predicted(depth=wall, labels=None), mount=None)
    assert clouds.split_failed and clouds.obstacles is None and clouds.ground is None
    assert has_point(clouds.points).all()
    assert run(predicted(depth=wall, labels=None), wants=Wants(ground=True),
               mount=None) == Clouds(split_failed=True)
    assert not run(predicted(depth=wall, labels=None), wants=Wants(points=True),
                   mount=None).split_failed


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf, 0.0, -3.0])
@pytest.mark.parametrize('mount', [MOUNT, None])
def test_bad_depth_gives_empty_clouds(bad: float, mount):
    depth = np.full((HEIGHT, WIDTH), bad, np.float32)
    for flying_pixels in FLYING_PIXELS:
        clouds = run(predicted(depth=depth), replace(SETTINGS, flying_pixels=flying_pixels),
                     mount=mount)
        assert not has_point(clouds.points).any()
        assert clouds.obstacles.shape == clouds.ground.shape == (1, 0)


def test_class_names_may_change():
    stage = CloudStage(CARD)
    for ignored, expected in ((('ceiling',), {WALL, BOX}), (('ceiling', 'wall'), {BOX}),
                              (('box', 'wall'), {CEILING})):
        settings = replace(SETTINGS, ignored=ignored, heights=HeightLimits(0.1, 3.0))
        clouds = run(settings=settings, mount=None, stage=stage)
        assert set(np.unique(clouds.obstacles['label'])) == expected

"""Pictures: known values get known pixels."""

from __future__ import annotations

import numpy as np
import pytest

from dense_perception import viz
from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.cloud import CloudBuilder
from dense_perception.geometry.mount import Mount
from dense_perception.inference.card import ClassInfo


def test_near_is_red_far_is_blue_unknown_is_grey():
    depth = np.array([[1.2, 9.0, np.nan, 0.0, np.inf]], np.float32)
    near, far, *unknown = viz.colour_depth(depth, 1.0, 10.0)[0].astype(int)
    assert near[0] > 2 * near[2] and far[2] > 2 * far[0]
    assert all(tuple(colour) == viz.UNKNOWN for colour in unknown)


def test_limits_ignore_what_is_unknown_and_are_never_empty():
    depth = np.linspace(1, 5, 1000)
    depth[::2] = np.nan
    near, far = viz.depth_limits([depth])
    assert near == pytest.approx(1.04, abs=0.02) and far == pytest.approx(4.92, abs=0.02)
    assert viz.depth_limits([np.full(5, 3.0)]) == (3.0, 6.0)
    assert viz.depth_limits([np.full(5, np.nan)]) == viz.depth_limits([]) == (1.0, 10.0)


def test_only_the_strongest_of_three_channels_is_lit_and_all_have_one_scale():
    features = np.zeros((3, 10, 10), np.float32)
    features[0, :5], features[1, 5:], features[2, :, 0] = 1, 2, 3
    picture = viz.strongest_channel(features)
    assert tuple(picture[0, 1]) == (85, 0, 0) and tuple(picture[9, 1]) == (0, 170, 0)
    assert (picture[:, 0] == (0, 0, 255)).all()
    # An image's brightness and contrast, as linear maps of all features, change nothing.
    np.testing.assert_array_equal(viz.strongest_channel(2 * features - 7), picture)


def test_strongest_channel_of_nothing_and_of_one_outlier():
    assert not viz.strongest_channel(np.full((3, 4, 5), 0.5, np.float32)).any()
    features = np.tile(np.linspace(0, 1, 100, dtype=np.float32), (3, 100, 1))
    features[0] += 0.5
    usual = viz.strongest_channel(features)
    features[0, 0, 0] = 1e6
    np.testing.assert_allclose(viz.strongest_channel(features)[1:], usual[1:], atol=3)
    assert tuple(viz.strongest_channel(features)[0, 0]) == (255, 0, 0)


def test_classes_have_their_colours_and_others_are_black():
    table = viz.palette([ClassInfo(3, 'pole', (1, 2, 3))])
    assert tuple(table[3]) == (1, 2, 3) and not table[255].any()


@pytest.mark.parametrize(('distance', 'rounded'), [
    (0.3, 0.2), (1.0, 1.0), (4.99, 2.0), (5.0, 5.0), (99.0, 50.0), (1000.0, 1000.0)])
def test_round_distances(distance: float, rounded: float):
    assert viz.round_distance(distance) == pytest.approx(rounded)


def test_fit_keeps_proportions():
    fitted = viz.fit(np.full((10, 40, 3), 255, np.uint8), 80, 60)
    rows, columns = np.nonzero((fitted == 255).all(-1))
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (20, 80)


@pytest.mark.parametrize('pitch', [0.0, 0.5, np.pi / 2])
def test_ground_four_metres_ahead_is_drawn_there_however_the_camera_looks(pitch: float):
    mount = Mount.from_pitch_roll(pitch, 0.0, 2.0)
    camera = Intrinsics(40.0, 40.0, 39.5, 29.5, 80, 60)
    points = CloudBuilder().build(mount.ground_depth(camera), camera)
    ahead = 4.0
    axes = viz.level_axes(mount.down)
    xyz = np.stack([points[axis] for axis in 'xyz'], -1) @ axes.T
    near_line = np.abs(xyz[..., 2] - ahead) < 0.2
    if pitch == np.pi / 2:  # sees only the ground below itself
        near_line, ahead = np.abs(xyz[..., 2]) < 0.1, 0.0
    assert near_line.any()
    colours = np.zeros((*points.shape, 3), np.uint8)
    colours[near_line] = (255, 0, 255)
    picture = viz.cloud_from_above(points, colours, mount.down, 10.0, 200, 220)
    rows = np.nonzero((picture == (255, 0, 255)).all(-1))[0]
    scale = (220 - 12 - 14) / 10.0
    assert len(rows) and np.abs(rows - (208 - ahead * scale)).max() < 0.2 * scale + 2


def test_ceilings_are_left_out_only_if_up_is_known():
    points = np.zeros((1, 1), [('x', 'f4'), ('y', 'f4'), ('z', 'f4')])
    points['y'], points['z'] = -2.5, 5.0
    colour = np.full((1, 1, 3), (255, 0, 255), np.uint8)

    def drawn(down: tuple[float, float, float] | None) -> bool:
        picture = viz.cloud_from_above(points, colour, down, 10.0, 200, 200)
        return bool((picture == (255, 0, 255)).all(-1).any())

    assert drawn(None) and not drawn((0.0, 1.0, 0.0))


def test_normals_have_the_usual_colours():
    normals = np.array([[[0, -1, 0], [1, 0, 0], [0, 0, -1], [np.nan] * 3]], np.float32)
    assert viz.colour_normals(normals)[0].tolist() == [
        [128, 0, 128], [255, 128, 128], [128, 128, 0], list(viz.UNKNOWN)]

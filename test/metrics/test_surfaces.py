"""The benchmark's idea of a flying pixel, on scenes where it is plain."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.plane_bag import write_plane_bag
from helpers.plane_model import write_plane_model

from dense_perception.cli.benchmarks.cloud_quality import quality
from dense_perception.cli.command import CommandError
from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.mount import Mount
from dense_perception.metrics.surfaces import as_predicted, flying, smeared

CAMERA = Intrinsics(120.0, 120.0, 63.5, 47.5, 128, 96)


def step(near: float = 2.0, far: float = 6.0) -> np.ndarray:
    truth = np.full((96, 128), far, np.float32)
    truth[:, :60] = near
    return truth


def test_what_hangs_between_two_surfaces_flies():
    truth = step()
    depth = truth.copy()
    depth[:, 60:62] = 3.5
    depth[5, 20], depth[7, 100] = 3.5, 3.5  # wrong, but there is no second surface around
    depth[9, 61] = 9.0  # behind both
    depth[11, 61], depth[12, 61], depth[13, 61] = np.nan, 0.0, 2.1
    expected = np.zeros(truth.shape, bool)
    expected[:, 60:62] = True
    expected[[9, 11, 12, 13], 61] = False
    np.testing.assert_array_equal(flying(depth, truth), expected)
    assert not flying(truth, truth).any()


def test_grazing_ground_does_not_fly_and_the_rim_of_the_sky_does():
    truth = Mount.from_pitch_roll(0.1, 0.0, 0.3).ground_depth(CAMERA)
    assert np.nanmax(truth) > 20 and np.isnan(truth).any()
    assert not flying(truth, truth).any()
    truth = step(far=np.nan)
    depth = np.where(np.isnan(truth), np.float32(np.nan), truth)
    depth[:, 60] = 30.0
    assert flying(depth, truth)[:, 60].all()


@pytest.mark.parametrize('factor', [2, 4])
def test_enlarged_truth_flies_at_its_edges_only(factor: int):
    found = flying(smeared(step(), factor), step())
    columns = np.nonzero(found.any(axis=0))[0]
    assert len(columns) >= 1 and set(columns) <= set(range(60 - factor, 60 + factor))


def test_surfaces_move_to_where_the_prediction_sees_them():
    truth, labels = step(), np.zeros((96, 128), np.uint8)
    labels[60:] = 3  # touches both without a step of depth
    prediction = truth * np.where(truth < 3, 1.3, 0.8).astype(np.float32)
    prediction[60:] *= 1.1
    prediction[:, 59:62] = 3.4  # the smear must not move anything
    moved = as_predicted(prediction, truth, labels)
    inner = np.ones(truth.shape, bool)
    inner[:, 56:65] = False
    np.testing.assert_allclose(moved[inner], prediction[inner], rtol=1e-4)
    assert moved[10, 59] == pytest.approx(2.6, rel=1e-3)
    assert moved[10, 60] == pytest.approx(4.8, rel=1e-3)
    assert flying(prediction, moved)[:, 60].all()


def test_quality_of_a_perfect_model(tmp_path):
    found = quality(str(write_plane_bag(tmp_path / 'bag')),
                    str(write_plane_model(tmp_path / 'plane.onnx')), frames=2)
    assert found['frames'] == 2
    # Only where half a pixel off is metres off, along the horizon, a pixel may seem to fly.
    perfect = found['flying']['depth of plane: this filter']
    assert perfect['before'] < 3 and perfect['kept'] > 99.9
    usual = found['flying']['depth of plane: ratio within 3 x 3']
    assert usual['before'] == perfect['before'] and usual['kept'] < 99
    # The red square lies flat: its class says obstacle, its height ground.
    assert found['split']['height, from the mount']['ground_found'] > 99
    assert found['split']['class']['false_mark'] == 0
    assert found['split']['class']['obstacles_found'] is None


def test_a_source_without_truth_is_refused(tmp_path):
    import cv2
    cv2.imwrite(str(tmp_path / 'picture.png'), np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(CommandError, match='no frame with true depth'):
        quality(str(tmp_path), str(write_plane_model(tmp_path / 'plane.onnx')), 2)
    with pytest.raises(CommandError, match='no model file "nothing"'):
        quality(str(tmp_path), 'nothing', 2)

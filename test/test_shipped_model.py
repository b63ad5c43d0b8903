"""The model that comes with the package, on the clip that comes with the package."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from dense_perception.inference.model_file import SHIPPED_MODELS, ModelFile
from dense_perception.inference.predictor import Predictor
from dense_perception.metrics import DepthAccuracy, DepthProtocol, SegmentationAccuracy
from dense_perception.sources.opening import open_source

MODEL = 'xnet_small'


@pytest.fixture(scope='module')
def clip_frames():
    source = open_source('demo', warn=pytest.fail)
    return [frame for frame in source.frames() if frame.depth is not None][::5]


def test_file_is_small_and_its_card_is_measured():
    model = ModelFile.open(MODEL)
    assert model.path.stat().st_size <= 12_000_000
    assert model.card.metrics['depth']['abs_rel'] > 0
    assert model.card.metrics['frames'] >= 400
    assert model.card.licence == 'Apache-2.0'


def test_card_is_clearly_better_than_a_guess_without_the_image():
    metrics = ModelFile.open(MODEL).card.metrics
    guess = metrics['per_pixel_baseline']
    assert metrics['depth']['abs_rel'] < 0.6 * guess['depth']['abs_rel']
    assert metrics['depth']['d1'] > 1.5 * guess['depth']['d1']
    assert metrics['segmentation']['miou'] > 1.5 * guess['segmentation']['miou']
    assert metrics['segmentation']['pixel_accuracy'] > guess['segmentation']['pixel_accuracy']


def test_clip_depth_is_metric_and_labels_are_right(clip_frames):
    predictor = Predictor(MODEL)
    depth = DepthAccuracy(DepthProtocol(0.1, 80.0))
    masks = SegmentationAccuracy(len(predictor.card.classes))
    for frame in clip_frames:
        prediction = predictor.predict(frame.image, frame.intrinsics, frame.mount)
        assert prediction.metric
        size = prediction.depth.shape[::-1]
        depth.add(prediction.depth, cv2.resize(frame.depth, size,
                                               interpolation=cv2.INTER_NEAREST_EXACT))
        masks.add(prediction.labels, cv2.resize(frame.labels, size,
                                                interpolation=cv2.INTER_NEAREST_EXACT))
    assert depth.result()['abs_rel'] < 0.35
    assert depth.result()['d1'] > 0.55
    assert masks.result()['pixel_accuracy'] > 0.7


def test_camera_height_sets_the_scale(clip_frames):
    from dataclasses import replace
    predictor = Predictor(MODEL)
    frame = clip_frames[0]
    depth = predictor.predict(frame.image, frame.intrinsics, frame.mount).depth
    twice = predictor.predict(frame.image, frame.intrinsics,
                              replace(frame.mount, height=2 * frame.mount.height)).depth
    both = np.isfinite(depth) & np.isfinite(twice)
    assert both.mean() > 0.5
    np.testing.assert_allclose(twice[both], 2 * depth[both], rtol=1e-3)


def test_the_int8_file_is_made_from_these_weights_and_as_good():
    whole, small = ModelFile.open(MODEL), ModelFile.open(f'{MODEL}_int8')
    assert small.quantised and small.size <= 6_000_000
    made = 'see docs/training.md for the command that makes it anew'
    assert small.card.metrics['int8_of_sha256'] == whole.sha256, made
    assert small.card.metrics['int8_against_fp32']['abs_rel'] <= 0.02
    assert small.card.metrics['int8_against_fp32']['labels_differ'] <= 0.02


def test_nothing_else_lies_among_the_models():
    assert sorted(p.name for p in Path(SHIPPED_MODELS).iterdir()) == [
        f'{MODEL}.onnx', f'{MODEL}_int8.onnx']

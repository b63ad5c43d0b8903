"""The predictor on a real model file whose answers are known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.fragile_model import write_fragile_model
from helpers.plane_model import CONFIDENCE, plane_card, plane_graph, save_model, write_plane_model

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.mount import Mount
from dense_perception.inference.backends import BackendError
from dense_perception.inference.predictor import Predictor

CAMERA = Intrinsics(150.0, 152.0, 160.7, 118.9, 320, 240)
MOUNT = Mount.from_pitch_roll(0.3, 0.1, 0.8)


@pytest.fixture(scope='module')
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return Predictor(write_plane_model(tmp_path_factory.mktemp('model') / 'plane.onnx'))


def half_red() -> np.ndarray:
    image = np.zeros((240, 320, 3), np.uint8)
    image[:, 160:, 0] = 255
    return image


def test_ground_comes_out_in_metres(predictor: Predictor):
    prediction = predictor.predict(half_red(), CAMERA, MOUNT)
    expected = MOUNT.ground_depth(CAMERA.resized(80, 64))
    assert prediction.metric
    near = np.nan_to_num(expected, nan=np.inf) < 50
    np.testing.assert_allclose(prediction.depth[near], expected[near], rtol=1e-4)
    assert np.isnan(prediction.depth[np.isnan(expected)]).mean() > 0.99
    assert np.array_equal(prediction.labels, np.repeat([[0] * 40 + [1] * 40], 64, axis=0))
    assert (prediction.confidence == CONFIDENCE).all()
    assert set(prediction.stage_ms) == {'resize', 'inference'}
    assert all(ms > 0 for ms in prediction.stage_ms.values())


@pytest.mark.parametrize('known', [{}, {'intrinsics': CAMERA}, {'mount': MOUNT}])
def test_without_the_whole_mount_depth_is_not_metric(predictor: Predictor, known: dict):
    prediction = predictor.predict(half_red(), **known)
    assert not prediction.metric
    np.testing.assert_allclose(prediction.depth[:, 0], 64 / np.arange(1, 65), rtol=1e-6)


def test_bgr_is_turned_to_rgb(predictor: Predictor):
    bgr = np.ascontiguousarray(half_red()[..., ::-1])
    assert predictor.predict(bgr, colour_order='bgr').labels[:, 50:].all()
    assert not predictor.predict(bgr, colour_order='rgb').labels.any()


@pytest.mark.parametrize('size', [(64, 80), (480, 640), (33, 500), (1, 1), (30, 40)])
def test_any_image_size_and_padding_fits(predictor: Predictor, size: tuple[int, int]):
    image = cv2.resize(half_red(), size[::-1], interpolation=cv2.INTER_NEAREST)
    padded = np.zeros((size[0], size[1] + 7, 3), np.uint8)
    padded[:, :size[1]] = image
    expected = predictor.predict(image).labels
    assert expected.shape == (64, 80)
    assert np.array_equal(predictor.predict(padded[:, :size[1]]).labels, expected)


def test_the_caller_s_image_is_left_alone(predictor: Predictor):
    image = half_red()[:64, 120:200].copy()
    image.setflags(write=False)
    assert predictor.predict(image, colour_order='bgr').labels.shape == (64, 80)
    assert np.array_equal(image, half_red()[:64, 120:200])


@pytest.mark.parametrize('image', [
    np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8),
    np.zeros((4, 4, 3), np.float32)])
def test_what_is_no_image_is_refused(predictor: Predictor, image: np.ndarray):
    with pytest.raises(ValueError, match='non-empty uint8 array'):
        predictor.predict(image)


def test_intrinsics_of_another_size_are_refused(predictor: Predictor):
    with pytest.raises(ValueError, match='intrinsics are for 320x240, the image is 80x64'):
        predictor.predict(np.zeros((64, 80, 3), np.uint8), CAMERA, MOUNT)


def test_a_model_without_metric_depth_is_never_metric(tmp_path: Path):
    card = plane_card(depth_convention='affine').to_json()
    predictor = Predictor(save_model(tmp_path / 'affine.onnx', plane_graph(64, 80), card))
    assert not predictor.predict(half_red(), CAMERA, MOUNT).metric


def test_outputs_the_card_leaves_out_are_none(tmp_path: Path):
    card = plane_card(outputs=('depth',), tasks=('depth',)).to_json()
    predictor = Predictor(save_model(tmp_path / 'depth.onnx', plane_graph(64, 80), card))
    prediction = predictor.predict(half_red())
    assert predictor.has_depth and not predictor.has_labels
    assert prediction.labels is None and prediction.confidence is None


def test_an_unknown_backend_names_the_known_ones(tmp_path: Path):
    path = write_plane_model(tmp_path / 'plane.onnx')
    with pytest.raises(BackendError, match='unknown backend "cuda".*auto, tensorrt'):
        Predictor(path, backend='cuda')
    assert Predictor(path, backend='onnxruntime-cpu', threads=1).backend == 'onnxruntime-cpu'


def test_an_inference_that_fails_is_said_and_the_next_one_works(tmp_path: Path):
    predictor = Predictor(write_fragile_model(tmp_path / 'fragile.onnx'))
    bright, dark = np.full((64, 80, 3), 255, np.uint8), np.zeros((64, 80, 3), np.uint8)
    with pytest.raises(BackendError, match='failed on an image'):
        predictor.predict(bright)
    assert not predictor.predict(dark).labels.any()


def test_cubic_models_see_what_cubic_resizing_gives(tmp_path: Path):
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    card = plane_card(interpolation='cubic').to_json()
    predictor = Predictor(save_model(tmp_path / 'cubic.onnx', plane_graph(64, 80), card))
    prediction = predictor.predict(image, colour_order='bgr')
    expected = cv2.resize(image, (80, 64), interpolation=cv2.INTER_CUBIC)[..., ::-1]
    np.testing.assert_array_equal(prediction.image, expected)


def test_another_size_is_proposed_where_the_rule_would_choose_one(tmp_path: Path):
    card = plane_card(resize='minimal', resize_target=(64, 64), size_multiple=16).to_json()
    predictor = Predictor(save_model(tmp_path / 'rule.onnx', plane_graph(64, 80), card))
    advice = predictor.size_advice(640, 320)
    assert advice is not None and '640x320 at 128x64' in advice and '80x64' in advice
    assert '--image-size 640x320' in advice
    assert predictor.size_advice(400, 320) is None


def test_a_model_that_stretches_has_no_other_size(predictor: Predictor):
    assert predictor.size_advice(3840, 160) is None

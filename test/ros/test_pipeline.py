"""What a camera does not see stays unknown, at every output size and for every network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.plane_model import plane_card, plane_graph, save_model

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.camera_info import Distortion
from dense_perception.geometry.mount import Mount
from dense_perception.geometry.rectification import Rectification
from dense_perception.inference.batches import run
from dense_perception.inference.prediction import Prediction
from dense_perception.inference.predictor import Predictor
from dense_perception.ros.cloud_settings import CloudSettings
from dense_perception.ros.cloud_stage import Wants
from dense_perception.ros.pipeline import Pipeline

CAMERA = Intrinsics(215.0, 217.0, 163.2, 117.9, 320, 240)
WIDE = Intrinsics(120.0, 120.0, 159.5, 119.5, 320, 240)
MOUNT = Mount.from_pitch_roll(1.4, 0.0, 1.0)


@pytest.mark.parametrize(('output_size', 'interpolation', 'rectified', 'published'), [
    ('model', 'linear', (80, 64), (80, 64)), ('model', 'cubic', (320, 240), (80, 64)),
    ('camera', 'linear', (320, 240), (320, 240))])
def test_what_is_not_seen_is_unknown(tmp_path: Path, output_size: str, interpolation: str,
                                     rectified: tuple[int, int], published: tuple[int, int]):
    card = plane_card(interpolation=interpolation)
    model = save_model(tmp_path / 'plane.onnx', plane_graph(64, 80), card.to_json())
    pipeline = Pipeline(Predictor(model), output_size)
    assert pipeline.rectified_size(320, 240) == rectified
    rectification = Rectification(CAMERA, Distortion('plumb_bob', (-0.2, 0.0, 0.0, 0.0, 0.0)),
                                  np.eye(3), WIDE.resized(*rectified))
    pixels = rectification.apply(np.full((240, 320, 3), 255, np.uint8))
    scaled: list[Prediction] = []

    def scaling(prediction: Prediction) -> Prediction:
        scaled.append(prediction)
        return prediction

    result = run(pipeline.run(pixels, 'rgb', WIDE.resized(*rectified), MOUNT, Wants(points=True),
                              CloudSettings(flying_pixels='keep'), scaling, rectification.seen))
    assert (result.width, result.height) == published
    unseen = np.isnan(result.depth)
    assert 0.3 < unseen.mean() < 0.8
    np.testing.assert_array_equal(unseen, result.labels == 255)
    np.testing.assert_array_equal(unseen, result.confidence == 0)
    np.testing.assert_array_equal(unseen, np.isnan(result.clouds.points['z']))
    # Nothing that is seen only in part counts, and no scale is fitted to what is not there.
    if rectification.seen.shape == unseen.shape:
        assert unseen[~rectification.seen].all()
    np.testing.assert_array_equal(np.isnan(scaled[0].depth), scaled[0].labels == 255)

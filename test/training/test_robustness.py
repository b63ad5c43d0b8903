"""Conditions that worsen step by step, and the shape of depth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('torch', reason='training needs torch')

from dense_perception_training.datasets import open_dataset
from dense_perception_training.robustness import MOUNT, PICTURE, main, measure
from dense_perception_training.sample import Sample
from dense_perception_training.shape import Shape, scale_drift
from helpers.plane_model import write_plane_model

from dense_perception.inference.prediction import Prediction
from dense_perception.inference.predictor import Predictor
from dense_perception.world.classes import CLASSES

AXES = {**PICTURE, **MOUNT}


@pytest.fixture
def sample(data: Path) -> Sample:
    return open_dataset('world', data)[0]


@pytest.fixture
def plane(tmp_path: Path) -> Path:
    """Depth of flat ground for the mount that it is told."""
    return write_plane_model(tmp_path / 'plane.onnx')


@pytest.mark.parametrize('name', AXES)
def test_only_the_harmless_level_changes_nothing_and_more_changes_more(name: str, sample: Sample):
    axis = AXES[name]
    changed = [axis.change(sample, level, np.random.default_rng(0)) for level in axis.steps]
    assert axis.harmless is None or axis.harmless in axis.steps
    for level, other in zip(axis.steps, changed, strict=True):
        other = replace(other, source='')  # builds it again: the sizes of all maps still agree
        same = other.size == sample.size and np.array_equal(other.image, sample.image) \
            and np.allclose(other.gravity, sample.gravity) \
            and other.camera_height == sample.camera_height
        assert same == (level == axis.harmless), level
        if name in MOUNT:
            assert np.linalg.norm(other.gravity) == pytest.approx(1)
    if name != 'focal length' and name in PICTURE and axis.harmless != 0:
        distance = [np.abs(c.image.astype(int) - sample.image).mean() for c in changed]
        assert np.argmax(distance) == len(distance) - 1


def test_a_longer_lens_sees_the_middle_with_its_true_intrinsics(sample: Sample):
    rows, columns = sample.size
    zoomed = PICTURE['focal length'].change(sample, 2, np.random.default_rng(0))
    assert zoomed.size == (rows // 2, columns // 2)
    assert zoomed.intrinsics.fx == sample.intrinsics.fx
    np.testing.assert_array_equal(zoomed.depth, sample.depth[rows // 4:rows // 4 + rows // 2,
                                                             columns // 4:-(columns // 4)])


def test_a_wrong_height_scales_the_depth_of_a_model_that_believes_it(plane: Path, data: Path):
    found = measure(Predictor(plane), open_dataset('world', data),
                    {'height error': MOUNT['height error']}, limit=2)['height error']
    assert list(found) == ['0.5', '0.7', '0.85', '1', '1.15', '1.4', '2']
    assert all({'abs_rel', 'd1'} <= set(figures) for figures in found.values())
    assert found['2']['abs_rel'] > found['1']['abs_rel']


def test_report_and_curves(plane: Path, data: Path, tmp_path: Path, capsys):
    main([str(plane), '--data', str(data), '--limit', '2', '--drives', '0', '--axes', 'noise',
          'pitch error', '--out', str(tmp_path), '--json'])
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / 'robustness.json').read_text())
    assert list(printed['axes']) == ['noise', 'pitch error'] and 'drive' not in printed
    assert (tmp_path / 'robustness.png').read_bytes()[:4] == b'\x89PNG'
    assert '| -8 |' in (tmp_path / 'robustness.md').read_text()
    with pytest.raises(SystemExit, match='no axis fog for this model and data; there are light'):
        main([str(plane), '--data', str(data), '--axes', 'fog'])


def test_the_truth_flies_nowhere_and_its_edges_are_where_they_are():
    depth = np.full((48, 64), 5.0, np.float32)
    depth[10:40, 20:44] = 2.0
    truth = Sample(np.zeros((48, 64, 3), np.uint8), 'x', depth=depth)
    shape = Shape()
    assert shape.result() is None
    shape.add(Prediction(depth, None, None, True), truth)
    assert shape.result() == {'flying_share': 0, 'dbe_acc': 0, 'dbe_com': 0}


def test_depth_of_the_truth_s_scale_does_not_drift(monkeypatch):
    class Knowing(Predictor):
        """Predicts what it is told of the frames of a drive, half as far away in the second."""

        card = replace(Predictor('xnet_small').card, classes=CLASSES)

        def __init__(self) -> None:
            pass

        def predict(self, image, intrinsics=None, mount=None, colour_order='rgb'):
            return Prediction(depths[image[0, 0, 0]], None, None, True)

    from dense_perception_training import shape
    depths = [np.full((4, 4), d, np.float32) for d in (3, 3, 1.5, 1.5)]
    numbers = iter(range(4))

    def fake(seed, width, height, rate, legs):
        for number in (next(numbers), next(numbers)):
            yield type('Frame', (), {
                'image': np.full((4, 4, 3), number, np.uint8), 'intrinsics': None, 'mount': None,
                'depth': np.full((4, 4), 3.0, np.float32)})

    monkeypatch.setattr(shape, 'drive', fake)
    found = scale_drift(Knowing(), 2)
    assert found['scale_bias'] == pytest.approx(-np.log(2) / 2)
    assert found['scale_between_scenes'] == pytest.approx(np.log(2) / 2)
    assert found['scale_within_scene'] == found['scale_frame_to_frame'] == 0

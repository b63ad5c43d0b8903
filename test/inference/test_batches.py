"""Frames that are run together: one batch each backend, and every frame its own answer."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import pytest

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.mount import Mount
from dense_perception.inference.backends import BackendError, BackendOptions, open_backend
from dense_perception.inference.backends.ladder import Ladder
from dense_perception.inference.batches import Answer, Frame, Inference, run, run_together
from dense_perception.inference.model_file import ModelFile
from dense_perception.inference.predictor import Predictor

MODEL = 'xnet_small'


class Doubling:
    """A backend that doubles x, and cannot bear a 13; keeps the sizes of its batches."""

    name, max_batch, concurrency = 'doubling', 4, 1

    def __init__(self) -> None:
        self.batches: list[int] = []

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.batches.append(len(inputs['x']))
        if 13 in inputs['x']:
            raise BackendError('it cannot bear a 13')
        return {'y': 2 * inputs['x']}


def frame(backend: Doubling, x: int) -> Frame[int | str]:
    try:
        answer = yield Inference(backend, {'x': np.array([x])})
    except BackendError as error:
        return str(error)
    assert answer.milliseconds >= 0 and answer.outputs['y'].shape == (1,)
    return int(answer.outputs['y'][0])


def refused() -> Generator[Inference, Answer, str]:
    return 'refused'
    yield


def test_frames_of_one_backend_are_one_batch():
    one, other = Doubling(), Doubling()
    assert run_together([frame(one, 1), refused(), frame(other, 2), frame(one, 3)]) == [
        2, 'refused', 4, 6]
    assert (one.batches, other.batches) == ([2], [1])
    assert run_together([]) == [] and run(frame(one, 7)) == 14


def test_only_the_image_that_is_to_blame_fails():
    backend = Doubling()
    assert run_together([frame(backend, x) for x in (1, 13, 3)]) == [
        2, 'it cannot bear a 13', 6]
    assert backend.batches == [3, 1, 1, 1]


def images(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(2)
    return [np.kron(rng.integers(0, 256, (8, 10, 3)), np.ones((32, 32, 1))).astype(np.uint8)
            for _ in range(count)]


def test_a_batch_of_the_shipped_model_says_what_its_images_say_alone():
    model = ModelFile.open(MODEL)
    ladder = Ladder(model, 'onnxruntime-cpu', BackendOptions(1, cpu_batch=3))
    assert ladder.max_batch == 3
    camera, mounts = Intrinsics(250, 250, 160, 128, 320, 256), [
        Mount.from_pitch_roll(0.3, 0.0, 0.8), None, Mount.from_pitch_roll(0.1, 0.05, 1.2)]
    predictors = [Predictor.on(model, ladder) for _ in mounts]
    together = run_together([
        p.predicting(image, camera, mount)
        for p, image, mount in zip(predictors, images(3), mounts, strict=True)])
    for image, mount, prediction in zip(images(3), mounts, together, strict=True):
        alone = predictors[0].predict(image, camera, mount)
        assert prediction.metric == alone.metric == (mount is not None)
        np.testing.assert_allclose(prediction.depth, alone.depth, rtol=1e-5)
        assert np.array_equal(prediction.labels, alone.labels)
        assert np.ptp(np.nan_to_num(alone.depth)) > 0


def test_a_larger_batch_than_a_backend_takes_is_run_in_parts():
    model = ModelFile.open(MODEL)
    inputs = {'image': np.zeros((3, *model.card.input_size, 3), np.uint8),
              'intrinsics': np.full((3, 4), 200, np.float32),
              'gravity': np.tile(np.float32([0, 1, 0]), (3, 1)),
              'camera_height': np.float32([0.5, 1.0, 2.0])}
    for options, most in ((BackendOptions(1, batch=4), 1), (BackendOptions(1, cpu_batch=2), 2)):
        ladder = Ladder(model, 'onnxruntime-cpu', options)
        assert ladder.max_batch == most
        depth = ladder.run(inputs)['depth']
        assert depth.shape == (3, *model.card.input_size)
        known = np.isfinite(depth).all(0)
        np.testing.assert_allclose(depth[1][known], 2 * depth[0][known], rtol=1e-3)


def test_a_file_of_one_image_at_a_time_says_so_where_more_are_wanted(plane_model):
    said: list[str] = []
    ladder = Ladder(ModelFile.open(plane_model), 'onnxruntime-cpu',
                    BackendOptions(1, cpu_batch=2), said.append)
    assert ladder.max_batch == 1
    assert len(said) == 1 and 'one image at a time' in said[0] and '--any-batch' in said[0]


def test_openvino_takes_one_image_at_a_time():
    pytest.importorskip('openvino', reason='openvino is not installed')
    said: list[str] = []
    ladder = Ladder(ModelFile.open(MODEL), 'openvino', BackendOptions(1, batch=2, cpu_batch=2),
                    said.append)
    assert ladder.max_batch == 1 and said == []
    assert open_backend('openvino', ModelFile.open(MODEL), BackendOptions(1)).max_batch == 1

"""What all datasets share: opening, messages, checks of a sample, what becomes of a broken one."""

from __future__ import annotations

import logging
import pickle
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('mujoco', reason='the training package needs mujoco')

from dense_perception_training.datasets import (
    DatasetError,
    LabelRangeError,
    NoTruthError,
    Records,
    Sample,
    SampleError,
    SizeMismatchError,
    Skipping,
    UnreadableFileError,
    dataset_info,
    list_datasets,
    open_dataset,
)
from dense_perception_training.shards import write_shard
from dense_perception_training.transforms import TRANSFORMS
from helpers.source_tree import ROOT

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.mount import Mount
from dense_perception.world.renderer import WorldFrame

CAMERA = Intrinsics(20.0, 20.0, 7.5, 5.5, 16, 12)
MOUNT = Mount.from_pitch_roll(0.3, 0.1, 0.5)
IMAGE = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
DEPTH = MOUNT.ground_depth(CAMERA)


def test_names_splits_and_options_are_checked(tmp_path: Path):
    assert 'world' in list_datasets()
    for name in list_datasets():
        assert dataset_info(name).name == name
    with pytest.raises(DatasetError, match='did you mean "world"'):
        open_dataset('wordl', tmp_path)
    with pytest.raises(DatasetError, match='no splits, so not "train"'):
        open_dataset('world', tmp_path, 'train')
    with pytest.raises(DatasetError, match='no option "scale"; it has normals'):
        open_dataset('world', tmp_path, scale=3)
    with pytest.raises(DatasetError, match=r'there is no .*absent.*dense-perception-world'):
        open_dataset('world', tmp_path / 'absent')
    with pytest.raises(DatasetError, match='no rendered frames'):
        open_dataset('world', tmp_path)


def test_the_document_names_every_dataset_and_every_transform():
    text = (ROOT / 'docs' / 'datasets.md').read_text()
    for name in list_datasets():
        assert f'| `{name}` |' in text, name
    for name in TRANSFORMS:
        assert re.search(rf'\b{name}\b', text), name


def test_world(tmp_path: Path):
    labels = np.full(DEPTH.shape, 3, np.uint8)
    frames = [WorldFrame(np.roll(IMAGE, i, 0), DEPTH, labels, CAMERA, MOUNT) for i in range(5)]
    write_shard(tmp_path / 'train_0', frames[:2], {})
    write_shard(tmp_path / 'train_1', frames[2:], {})
    world = open_dataset('world', tmp_path)
    assert len(world) == 5 and len(world.info.classes) == 8
    sample = world[3]
    np.testing.assert_array_equal(sample.image, frames[3].image)
    np.testing.assert_allclose(sample.depth, DEPTH, rtol=1e-3)
    np.testing.assert_array_equal(sample.labels, labels)
    assert sample.intrinsics == CAMERA
    np.testing.assert_allclose(sample.gravity, MOUNT.down, atol=1e-6)
    assert sample.camera_height == pytest.approx(0.5)
    assert 'train_1 frame 1' in sample.source
    travelled = pickle.dumps(world)
    assert len(travelled) < 5000  # names, not pixels
    np.testing.assert_array_equal(pickle.loads(travelled)[3].image, sample.image)
    for index in (-1, 5):
        with pytest.raises(IndexError, match='0..4'):
            world[index]


@pytest.mark.parametrize(('change', 'error', 'message'), [
    ({'depth': DEPTH[:, :-1]}, SizeMismatchError, 'a.png: depth is 15x12, the image 16x12'),
    ({'labels': np.zeros((6, 8), np.uint8)}, SizeMismatchError, 'labels is 8x6'),
    ({'intrinsics': CAMERA.resized(8, 6)}, SizeMismatchError, 'intrinsics are for 8x6'),
    ({'depth': DEPTH.astype(np.float64)}, SampleError, 'depth is float64'),
    ({'normals': DEPTH}, SampleError, r"normals is float32 \(12, 16\), not float32 \('H'"),
    ({'labels': np.zeros((12, 16, 3), np.uint8)}, SampleError, 'labels is uint8'),
    ({'gravity': np.zeros(2)}, SampleError, 'no vector of three'),
])
def test_a_sample_whose_parts_do_not_fit_is_refused(change: dict, error: type, message: str):
    with pytest.raises(error, match=message):
        Sample(IMAGE, 'a.png', **change)


def test_a_sample_without_usable_truth_is_refused():
    nothing = np.full_like(DEPTH, np.nan)
    sample = Sample(IMAGE, 'a.png', depth=nothing)
    with pytest.raises(NoTruthError, match='a.png: no pixel has depth'):
        sample.checked()
    ignored = np.full(DEPTH.shape, 255, np.uint8)
    with pytest.raises(NoTruthError, match='no pixel has depth or labels'):
        replace(sample, labels=ignored).checked()
    labels = ignored.copy()
    labels[3, 4] = 6
    assert replace(sample, labels=labels).checked(classes=7)
    with pytest.raises(LabelRangeError, match=r'class 6, but the dataset has 5 classes \(0..4'):
        replace(sample, labels=labels).checked(classes=5)
    assert Sample(IMAGE, 'unlabelled test image').checked(5)


def read_numbered(number: int) -> Sample:
    if number in (2, 3, 9):
        raise UnreadableFileError(f'{number}.png is no picture')
    return Sample(np.full((2, 2, 3), number, np.uint8), f'{number}.png')


def test_unusable_samples_are_replaced_by_the_next_and_counted(caplog):
    dataset = Skipping(Records(dataset_info('world'), list(range(10)), read_numbered))
    with caplog.at_level(logging.WARNING):
        found = [dataset[i].image[0, 0, 0] for i in range(10)] + [dataset[2].image[0, 0, 0]]
    assert found == [0, 1, 4, 4, 4, 5, 6, 7, 8, 0, 4]
    assert dataset.faults == {i: f'{i}.png is no picture' for i in (2, 3, 9)}
    assert dataset.skipped == 6
    assert len(caplog.records) == 3  # each is named once
    assert 'sample 2 of world is left out: 2.png is no picture' in caplog.text
    with pytest.raises(IndexError):
        dataset[10]


def read_nothing(number: int) -> Sample:
    raise UnreadableFileError(f'{number}.png is no picture')


def test_a_dataset_of_broken_samples_is_an_error():
    broken = Records(dataset_info('world'), list(range(100)), read_nothing)
    with pytest.raises(DatasetError, match='16 samples in a row .* number 98: 98.png'):
        Skipping(broken)[98]
    with pytest.raises(DatasetError, match='3 samples in a row'):
        Skipping(Records(dataset_info('world'), [1, 2, 3], read_nothing))[1]

"""Batches from several datasets: rates, determinism, what is missing, what is broken."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('mujoco', reason='the training package needs mujoco')

import torch
from dense_perception_training.batches import Batches, MountErrors
from dense_perception_training.datasets import (
    DatasetError,
    DatasetInfo,
    Mixture,
    Part,
    Records,
    Sample,
    UnreadableFileError,
)
from dense_perception_training.transforms import Chain, Colour, Flip, RandomCrop, generator
from torch.utils.data import DataLoader

from dense_perception.geometry.camera import Intrinsics
from dense_perception.inference.card import ClassInfo

DEPTH = DatasetInfo('a', ('depth',), (), 'nowhere', 'x')
PSEUDO = replace(DEPTH, name='p', depth_convention='affine')
CLASSES = (ClassInfo(0, 'ground', (0, 0, 0)), ClassInfo(1, 'wall', (9, 9, 9)))
MASKS = DatasetInfo('b', ('segmentation', 'normals', 'matting'), (), 'nowhere', 'x',
                    classes=CLASSES)


def read_depth(number: int) -> Sample:
    image = np.full((8, 10, 3), number, np.uint8)
    return Sample(image, f'a{number}', depth=np.full((8, 10), 1.0 + number, np.float32),
                  intrinsics=Intrinsics(10, 11, 4.5, 3.5, 10, 8), gravity=np.array([0.0, 1, 0]),
                  camera_height=0.4)


def read_masks(number: int) -> Sample:
    if number % 5 == 4:
        raise UnreadableFileError(f'{number}.png is no picture')
    return Sample(np.full((8, 10, 3), 100 + number, np.uint8), f'b{number}',
                  labels=np.full((8, 10), number % 2, np.uint8),
                  normals=np.tile(np.float32([0, 0, -1]), (8, 10, 1)),
                  alpha=np.full((8, 10), 0.5, np.float32),
                  intrinsics=Intrinsics(10, 11, 4.5, 3.5, 10, 8))


A = Records(DEPTH, list(range(40)), read_depth)
B = Records(MASKS, list(range(20)), read_masks)
CROP = Chain((RandomCrop(6, 6), Flip(), Colour()))
EXACT = MountErrors(0, 0, 0)


def mixture(single_source: bool = False) -> Mixture:
    return Mixture([Part(A, 3.0, CROP), Part(B, 1.0, CROP)], single_source)


def test_shares_follow_the_rates_and_batches_repeat_no_sample():
    mixed, counts = mixture(), Counter()
    for step in range(300):
        drawn = mixed.draw(8, generator(0, step))
        assert len(set(drawn)) == 8
        counts.update(part for part, _ in drawn)
        assert drawn == mixed.draw(8, generator(0, step))
    assert counts[0] / 2400 == pytest.approx(0.75, abs=0.03)
    assert len(mixed) == 60 and mixed.tasks == ('depth', 'segmentation', 'normals', 'matting')


def test_single_source_draws_from_one_dataset_at_the_same_rates():
    sources = []
    for step in range(400):
        parts = {part for part, _ in mixture(single_source=True).draw(8, generator(0, step))}
        assert len(parts) == 1
        sources.append(parts.pop())
    assert np.mean(sources) == pytest.approx(0.25, abs=0.06)


def test_a_batch_larger_than_a_dataset_repeats_samples():
    drawn = Mixture([Part(B)]).draw(50, generator(1))
    assert {index for _, index in drawn} <= set(range(20)) and len(drawn) == 50


def test_batches_follow_from_seed_and_step_in_any_process():
    batches = Batches(mixture(), 6, (3, 0))
    here = [batches[step] for step in range(4)]
    loader = DataLoader(pickle.loads(pickle.dumps(batches)), batch_size=None, sampler=range(4),
                        num_workers=2)
    for mine, theirs in zip(here, loader, strict=True):
        assert mine.keys() == theirs.keys()
        for key in mine:
            torch.testing.assert_close(mine[key], theirs[key], equal_nan=True)
    other = Batches(mixture(), 6, (3, 1))[0]
    assert not torch.equal(here[0]['image'], other['image'])
    # A step alone is what it is in a sequence: nothing is carried along.
    torch.testing.assert_close(Batches(mixture(), 6, (3, 0))[3], here[3], equal_nan=True)


def test_a_batch_says_what_is_unknown():
    batch = Batches(mixture(), 24, (0, 0), EXACT)[1]
    shapes = {key: tuple(value.shape[1:]) for key, value in batch.items() if value.ndim}
    assert shapes == {'image': (6, 6, 3), 'depth': (6, 6), 'labels': (6, 6), 'alpha': (6, 6),
                      'normals': (3, 6, 6), 'intrinsics': (4,), 'gravity': (3,),
                      'camera_height': (), 'known': (), 'true_height': (), 'metric': (),
                      'part': ()}
    assert batch['labels'].dtype == torch.int64 and batch['image'].dtype == torch.uint8
    a, b = batch['part'] == 0, batch['part'] == 1
    assert a.any() and b.any()
    assert batch['depth'][a].isfinite().all() and batch['depth'][b].isnan().all()
    assert (batch['labels'][a] == 255).all() and (batch['labels'][b] < 2).all()
    assert batch['normals'][a].isnan().all() and (batch['normals'][b][:, 2] == -1).all()
    assert batch['alpha'][a].isnan().all() and (batch['alpha'][b] == 0.5).all()
    torch.testing.assert_close(batch['known'], a.float())
    torch.testing.assert_close(batch['camera_height'], 0.4 * a)
    torch.testing.assert_close(batch['true_height'], torch.where(a, 0.4, 1.0))
    assert (batch['gravity'][a][:, 1] == 1).all() and (batch['gravity'][b] == 0).all()
    assert (batch['intrinsics'][:, 0] == 10).all()  # also where the mount is unknown


def test_the_mount_is_withheld_and_wrong_as_often_as_asked():
    batches = Batches(Mixture([Part(A)]), 40, (0, 0), MountErrors(0.25, 2.0, 0.1))
    batch = [batches[i] for i in range(20)]
    known = torch.cat([b['known'] for b in batch])
    gravity = torch.cat([b['gravity'] for b in batch])[known > 0]
    height = torch.cat([b['camera_height'] for b in batch])[known > 0]
    assert known.mean().item() == pytest.approx(0.75, abs=0.05)
    assert gravity.norm(dim=1).allclose(torch.ones(len(gravity)), atol=1e-5)
    assert np.degrees(gravity[:, 0].std().item()) == pytest.approx(2.0, rel=0.1)
    assert height.log().std().item() == pytest.approx(0.1, rel=0.1)


def test_replaced_samples_are_counted_in_their_batch():
    # Every fifth mask of twenty is broken; a batch of all twenty meets the four of them.
    batches = Batches(Mixture([Part(B)]), 20, (0, 0))
    assert [batches[step]['skipped'].item() for step in range(3)] == [4, 4, 4]


def test_mixtures_that_make_no_sense_are_refused():
    other = Records(replace(MASKS, name='c', classes=CLASSES[:1]), [0], read_masks)
    disparity = Records(replace(DEPTH, name='d', depth_convention='inverse_affine'), [0],
                        read_depth)
    for parts, message in (
            ([], 'at least one dataset'), ([Part(A, 0.0)], 'must be above 0'),
            ([Part(A, float('nan'))], 'must be above 0'),
            ([Part(Records(DEPTH, [], read_depth))], '"a" is empty'),
            ([Part(B), Part(other)], '"b" and "c" have different classes'),
            ([Part(A), Part(disparity)], 'depth and disparity')):
        with pytest.raises(DatasetError, match=message):
            Mixture(parts)
    assert Mixture([Part(A), Part(Records(PSEUDO, [0], read_depth))]).metric == (True, False)


def test_images_of_different_sizes_are_no_batch():
    with pytest.raises(DatasetError, match='different sizes .6x6, 10x8.: let each'):
        Batches(Mixture([Part(A, transform=CROP), Part(B)]), 16, (0, 0))[0]

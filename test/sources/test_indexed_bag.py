"""Frames of a bag in any order."""

from __future__ import annotations

import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import pytest
from helpers.bags import IMAGE, image, write_bag
from helpers.plane_bag import CAMERA, MOUNT, write_plane_bag
from rosbags.rosbag2 import StoragePlugin

from dense_perception.sources.base import Lens, SourceError
from dense_perception.sources.indexed_bag import IndexedBag

DEPTH = np.linspace(0.5, 9, 48, dtype=np.float32).reshape(6, 8)
GREEN = np.zeros((6, 8, 3), np.uint8) + np.uint8((20, 200, 30))


@pytest.mark.parametrize('storage', [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_images_with_truth_by_their_time(tmp_path: Path, storage: StoragePlugin):
    second = 10**9
    bag = IndexedBag(write_bag(tmp_path / 'bag',
                           ('/rgb', IMAGE, image(1 * second, GREEN, 'rgb8')),
                           ('/d', IMAGE, image(1 * second, DEPTH, '32FC1')),
                           ('/rgb', IMAGE, image(2 * second, GREEN, 'rgb8')),
                           ('/d', IMAGE, image(3 * second, 2 * DEPTH, '32FC1')),
                           ('/rgb', IMAGE, image(3 * second, 255 - GREEN, 'rgb8')),
                           ('/rgb', IMAGE, image(4 * second, GREEN, 'nonsense')),
                           ('/d', IMAGE, image(4 * second, DEPTH, '32FC1')),
                           storage=storage), Lens(60, print), print)
    assert bag.kinds == {'colour', 'depth'}
    assert bag.times == [0, 4_000_000, 5_000_000]  # the second image has no depth
    last, first = bag.frame_at(bag.times[1]), bag.frame_at(bag.times[0])
    np.testing.assert_array_equal(first.image, GREEN)
    np.testing.assert_array_equal(first.depth, DEPTH)
    np.testing.assert_array_equal(last.image, 255 - GREEN)
    np.testing.assert_array_equal(last.depth, 2 * DEPTH)
    with pytest.raises(SourceError, match='image at 5000000: '):
        bag.frame_at(bag.times[2])
    with pytest.raises(SourceError, match='no image at 77'):
        bag.frame_at(77)


def test_a_bag_without_truth_has_no_times(tmp_path: Path):
    bag = IndexedBag(write_bag(tmp_path / 'bag', ('/rgb', IMAGE, image(1, GREEN, 'rgb8')),
                           storage=StoragePlugin.MCAP), Lens(60, print), print)
    assert bag.times == []


def depths(bag: IndexedBag, times: list[int]) -> list[bool]:
    truth = MOUNT.ground_depth(CAMERA)
    return [np.array_equal(bag.frame_at(t).depth, truth, equal_nan=True) for t in times]


def test_processes_read_side_by_side(tmp_path: Path):
    bag = IndexedBag(write_plane_bag(tmp_path / 'bag', frames=20), Lens(60, print), print)
    assert depths(bag, bag.times[:2]) == [True, True]  # the parent has it open
    with multiprocessing.get_context('fork').Pool(2) as pool:
        parts = [bag.times[::2], bag.times[1::2]] * 2
        assert all(all(p) for p in pool.starmap(depths, [(bag, part) for part in parts]))
    copy = pickle.loads(pickle.dumps(bag))
    assert copy.times == bag.times and depths(copy, bag.times[-1:]) == [True]

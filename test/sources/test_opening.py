"""What a source's name stands for, and what a wrong one gets."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from dense_perception.sources.bag import Bag
from dense_perception.sources.base import Frame, SourceError, resized
from dense_perception.sources.opening import DEMO_CLIP, open_source
from dense_perception.sources.pictures import Pictures
from dense_perception.sources.video import VideoFile

RED = np.zeros((48, 64, 3), np.uint8) + np.uint8((0, 0, 255))  # BGR, as OpenCV writes it


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ('b.png', 'a.jpg', 'c.png'):
        cv2.imwrite(str(tmp_path / name), RED if name != 'a.jpg' else RED[:, :32])
    (tmp_path / 'notes.txt').write_text('no picture')
    return tmp_path


def test_folder_gives_pictures_by_name_in_rgb(folder: Path):
    said: list[str] = []
    frames = list(open_source(str(folder), horizontal_fov=90, warn=said.append).frames())
    assert [f.image.shape for f in frames] == [(48, 32, 3), (48, 64, 3), (48, 64, 3)]
    assert (frames[1].image == (255, 0, 0)).all()
    assert frames[1].intrinsics.fx == pytest.approx(32)
    assert (frames[1].intrinsics.cx, frames[1].intrinsics.cy) == (31.5, 23.5)
    assert frames[1].mount is frames[1].depth is frames[1].labels is frames[1].stamp_ns is None
    assert len(said) == 1 and 'field of view of 90 degrees' in said[0]


def test_broken_pictures_are_left_out_and_counted(folder: Path):
    (folder / 'b.png').write_bytes(b'no picture at all')
    said: list[str] = []
    source = open_source(str(folder), warn=said.append)
    assert len(list(source.frames())) == len(list(source.frames())) == 2
    assert [s for s in said if '1 of 3 pictures cannot be read' in s and 'b.png' in s] == said[1:]
    for name in ('a.jpg', 'c.png'):
        (folder / name).write_bytes(b'')
    with pytest.raises(SourceError, match='none of 3 pictures can be read'):
        list(source.frames())


def test_one_picture_is_a_source(folder: Path):
    source = open_source(str(folder / 'a.jpg'), warn=lambda _: None)
    assert isinstance(source, Pictures)
    assert len(list(source.frames())) == 1


def test_video_has_times_and_can_be_played_again(tmp_path: Path):
    path = tmp_path / 'clip.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 20, (64, 48))
    for _ in range(5):
        writer.write(RED)
    writer.release()
    source = open_source(str(path), warn=lambda _: None)
    assert isinstance(source, VideoFile)
    for _ in range(2):
        frames = list(source.frames())
        assert [f.stamp_ns for f in frames] == [i * 50_000_000 for i in range(5)]
    np.testing.assert_allclose(frames[0].image.mean((0, 1)), (255, 0, 0), atol=4)


@pytest.mark.parametrize(('spec', 'words'), [
    ('', 'there is no source ""'), ('nowhere/at/all', 'there is no source "nowhere/at/all"'),
    ('webcam:97', 'webcam 97 .* cannot be opened'),
    ('/dev/video97', 'webcam 97 .* cannot be opened')])
def test_missing_source(spec: str, words: str):
    with pytest.raises(SourceError, match=words):
        open_source(spec)


def test_damaged_sources(tmp_path: Path):
    (tmp_path / 'empty').mkdir()
    for name in ('broken.mp4', 'broken.mcap', 'broken.db3'):
        (tmp_path / name).write_bytes(b'\x00' * 100)
    (tmp_path / 'bag').mkdir()
    (tmp_path / 'bag' / 'metadata.yaml').write_text('nothing: here\n')
    for name, words in (('empty', 'has no picture'), ('broken.mp4', 'is no video'),
                        ('broken.mcap', 'no readable rosbag2 bag'),
                        ('broken.db3', 'no readable rosbag2 bag'),
                        ('bag', 'no readable rosbag2 bag')):
        with pytest.raises(SourceError, match=words):
            open_source(str(tmp_path / name))


def test_demo_clip_has_everything():
    source = open_source('demo')
    assert isinstance(source, Bag) and DEMO_CLIP.is_dir()
    first = next(source.frames())
    assert first.image.ndim == 3 and first.mount is not None
    assert np.isfinite(first.depth).any() and first.labels is not None
    assert first.intrinsics.width == first.image.shape[1]


def test_resized_takes_the_intrinsics_along():
    frame = next(open_source('demo').frames())
    small = resized(frame, 160, 120)
    assert small.image.shape == (120, 160, 3)
    assert small.intrinsics == frame.intrinsics.resized(160, 120)
    assert small.depth is frame.depth
    assert resized(frame, 0, 0) is frame


def test_world_is_seeded_and_timed():
    try:
        source = open_source('world:3', width=80, height=64, rate=10)
    except SourceError as error:
        pytest.skip(str(error))

    def first(count: int) -> list[Frame]:
        return [f for f, _ in zip(source.frames(), range(count))]

    one, other = first(2), first(2)
    assert [f.stamp_ns for f in one] == [0, 100_000_000]
    assert one[0].image.shape == (64, 80, 3)
    assert np.array_equal(one[1].depth, other[1].depth, equal_nan=True)
    assert math.isclose(one[0].intrinsics.cx, 39.5)


def test_world_without_mujoco_says_so():
    code = ("import sys; sys.modules['mujoco'] = None\n"
            'from dense_perception.sources.opening import open_source\n'
            "open_source('world')")
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert 'SourceError: the procedural world needs MuJoCo (pip install mujoco)' in last

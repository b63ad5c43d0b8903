"""The image source as a process: it plays, it ends, it says what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.graph import Graph
from helpers.plane_bag import CAMERA, MOUNT, write_plane_bag
from sensor_msgs.msg import CameraInfo, Image

from dense_perception.ros.qos import LATCHED
from dense_perception_msgs.msg import CameraMount


def stamps(messages: list[Any]) -> list[int]:
    return [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in messages]


def test_bag_is_played_once_with_everything_it_has(graph: Graph, tmp_path: Path):
    bag = write_plane_bag(tmp_path / 'bag', frames=6)
    infos = graph.collect(CameraInfo, 'camera_info')
    depths = graph.collect(Image, 'ground_truth/depth')
    masks = graph.collect(Image, 'ground_truth/mask')
    mounts = graph.collect(CameraMount, 'camera_mount', LATCHED)
    images = graph.collect(Image, 'image')  # the last: the source waits for this one
    process = graph.start('image_source', source=bag, loop=False, frame_id='cam')
    graph.spin_until(lambda: process.exit_code is not None, 'the end of the bag')
    assert process.exit_code == 0
    graph.spin_until(lambda: len(images) == 6 and len(mounts) == 1
                     and any(m.header == images[-1].header for m in masks), 'the last frame')
    assert stamps(images) == sorted(set(stamps(images)))
    assert set(stamps(depths)) | set(stamps(masks)) | set(stamps(infos)) <= set(stamps(images))
    assert images[0].header.frame_id == 'cam' and images[0].encoding == 'rgb8'
    np.testing.assert_allclose(np.take(infos[0].k, (0, 4, 2, 5)),
                               (CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy))
    depth = np.frombuffer(depths[0].data, np.float32).reshape(CAMERA.height, CAMERA.width)
    np.testing.assert_array_equal(depth, MOUNT.ground_depth(CAMERA))
    red = np.frombuffer(images[-1].data, np.uint8).reshape(CAMERA.height, CAMERA.width, 3)[..., 0]
    mask = next(m for m in masks if m.header == images[-1].header)
    assert np.array_equal(np.frombuffer(mask.data, np.uint8).reshape(red.shape), red > 127)
    assert mounts[0].height == MOUNT.height


@pytest.mark.parametrize('memory_mb', [0, 8])
def test_pictures_loop_resized_at_the_wanted_rate(graph: Graph, tmp_path: Path, memory_mb: int):
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((48, 64, 3), np.uint8))
    images = graph.collect(Image, 'image')
    infos = graph.collect(CameraInfo, 'camera_info')
    graph.start('image_source', source=tmp_path, rate=50.0, width=32, height=24,
                horizontal_fov=90.0, memory_mb=memory_mb)
    graph.spin_until(lambda: len(images) > 10 and infos, 'a loop over one picture')
    assert (images[0].width, images[0].height) == (32, 24) == (infos[0].width, infos[0].height)
    assert infos[0].k[0] == pytest.approx(16)
    # Not faster than asked for; how much slower is up to the machine.
    assert np.median(np.diff(stamps(images))) > 15e6


def test_perception_of_the_source_is_exact(graph: Graph, tmp_path: Path, plane_model: Path):
    """Mount and intrinsics travel from the bag to the perception node; depth is metric."""
    depths = graph.collect(Image, 'depth/image_rect')
    graph.start('perception', model=plane_model)
    graph.start('image_source', source=write_plane_bag(tmp_path / 'bag'))
    graph.spin_until(lambda: depths, 'metric depth')
    depth = np.frombuffer(depths[0].data, np.float32).reshape(64, 80)
    truth = MOUNT.ground_depth(CAMERA.resized(80, 64))
    near = np.nan_to_num(truth, nan=np.inf) < 20
    np.testing.assert_allclose(depth[near], truth[near], rtol=1e-4)


@pytest.mark.parametrize(('parameters', 'words'), [
    ({'source': 'nowhere'}, 'there is no source "nowhere"'),
    ({'source': 'webcam:97'}, 'webcam 97 (/dev/video97) cannot be opened'),
    ({'width': 320}, 'width and height must both be given'),
    ({'rate': -1.0}, 'parameter rate')])
def test_wrong_start_ends_in_one_sentence(graph: Graph, parameters: dict[str, Any], words: str):
    process = graph.start('image_source', **parameters)
    assert process.wait() == 1
    lines = [line for line in process.log.splitlines() if line.strip()]
    assert len(lines) == 1 and '[FATAL]' in lines[0] and words in lines[0]


def test_source_that_breaks_while_playing_ends_in_one_sentence(graph: Graph, tmp_path: Path):
    (tmp_path / 'broken.png').write_bytes(b'nothing')
    graph.collect(Image, 'image')
    process = graph.start('image_source', source=tmp_path)
    graph.spin_until(lambda: process.exit_code is not None, 'the end')
    assert process.exit_code == 1
    assert 'none of 1 pictures can be read' in process.log and 'Traceback' not in process.log

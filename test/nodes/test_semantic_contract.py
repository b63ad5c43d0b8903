"""Mask, confidence, cloud and LabelInfo as Nav2's semantic segmentation layer takes them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import label_info
from helpers.camera import FRAME_ID, Camera, half_red
from helpers.corridor_model import CAMERA, CLASSES, HEIGHT, WIDTH, corridor, write_corridor_model
from helpers.graph import PATIENCE_S, Graph
from helpers.source_tree import ROOT
from std_msgs.msg import Header

from dense_perception.ros.camera_info import info_from_intrinsics


@pytest.mark.parametrize('output_size', ['model', 'camera'])
def test_the_layer_gets_one_set_of_one_size(graph: Graph, tmp_path: Path, output_size: str,
                                            monkeypatch: pytest.MonkeyPatch):
    for name, value in label_info.environment().items():
        monkeypatch.setenv(name, value)
    graph.start('perception', model=write_corridor_model(tmp_path / 'corridor.onnx'),
                output_size=output_size)
    listener = subprocess.Popen(
        [sys.executable, str(ROOT / 'test' / 'helpers' / 'nav2_listener.py'), str(PATIENCE_S),
         str(tmp_path / 'set.json')], env=os.environ | {'ROS_DOMAIN_ID': str(graph.domain)})
    camera, factor = Camera(graph), 2
    pixels = half_red(factor * WIDTH, factor * HEIGHT)
    info = info_from_intrinsics(CAMERA.resized(factor * WIDTH, factor * HEIGHT), Header())
    try:
        graph.spin_until(lambda: listener.poll() is not None, 'the set',
                         lambda: camera.publish(pixels, info))
    finally:
        listener.kill()
    found = json.loads((tmp_path / 'set.json').read_text())

    shown = factor if output_size == 'camera' else 1
    width, height = shown * WIDTH, shown * HEIGHT
    assert found['sizes'] == dict.fromkeys(('mask', 'confidence', 'cloud'), [width, height])
    assert found['frames'] == [FRAME_ID]
    # The layer indexes mask.data[v * width + u]: one byte a pixel, and no padding.
    assert found['encodings'] == ['mono8', 'mono8'] and found['steps'] == [width, width]
    assert found['fields'][:3] == ['x', 'y', 'z']
    assert found['classes'] == {c.name: c.id for c in CLASSES}
    cloud = np.array(found['cloud'], np.uint8).reshape(height, width, found['point_step'])
    x, _, z = np.moveaxis(np.ascontiguousarray(cloud[..., :12]).view(np.float32), -1, 0)
    mask = np.array(found['mask'], np.uint8).reshape(height, width)
    whole = CAMERA.resized(width, height)
    u = np.broadcast_to(np.arange(width), z.shape)
    known = np.isfinite(z)
    assert known.mean() > 0.97
    np.testing.assert_allclose(whole.fx * x[known] / z[known] + whole.cx, u[known], atol=1e-2)
    # Point and pixel are of one thing, however the mask was enlarged.
    scene = corridor()
    np.testing.assert_array_equal(mask, np.repeat(np.repeat(scene.labels, shown, 0), shown, 1))
    np.testing.assert_array_equal(
        z[known], np.repeat(np.repeat(scene.depth, shown, 0), shown, 1)[known])

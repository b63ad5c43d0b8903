"""The perception node as a process: bad input gets one sentence, and nothing wrong goes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from helpers.camera import INTRINSICS, Camera, half_red
from helpers.fragile_model import write_fragile_model
from helpers.graph import Graph, NodeProcess
from helpers.plane_model import plane_card, plane_graph, save_model
from helpers.scene import MOUNTED, Scene
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from dense_perception.ros.camera_info import info_from_intrinsics


@pytest.fixture
def scene(graph: Graph, plane_model: Path) -> Scene:
    return Scene(graph, model=plane_model, **MOUNTED)


def test_bad_images_are_refused_and_good_ones_go_on(scene: Scene):
    scene.until_works()
    for changes, words in (({'encoding': 'hsv8'}, 'encoding "hsv8" is unknown'),
                           ({'encoding': '32FC1'}, 'encoding "32FC1" is a depth image'),
                           ({'height': 241}, 'its header announces 960 x 241 = 231360'),
                           ({'step': 900}, 'step of 900 bytes is shorter than a row'),
                           ({'width': 0}, 'image of size 0x240 has no pixels')):
        scene.forget()
        status = scene.said(words, DiagnosticStatus.ERROR,
                            lambda changes=changes: scene.camera.publish(**changes))
        values = {v.key: v.value for v in status.values}
        assert int(values['refused']) > 0 and words in values['last_refusal']
        assert '/image: image refused: ' in status.message
        assert not scene.masks and not scene.depths and not scene.clouds
    scene.until_works()


@pytest.mark.parametrize(('change', 'words'), [
    (lambda info: setattr(info, 'k', np.zeros(9)), 'K of zeros'),
    (lambda info: setattr(info, 'k', np.full(9, np.nan)), 'not finite'),
    (lambda info: setattr(info, 'k', -info.k), 'focal lengths must be positive'),
    (lambda info: setattr(info, 'width', 640), '/camera_info: camera_info is for 640x240, the '
     'image is 320x240; the driver must say roi and binning'),
    (lambda info: setattr(info.roi, 'x_offset', 8), 'a roi of 320x240 at (8, 0), which leaves'),
], ids=['zero K', 'NaN in K', 'negative K', 'other size', 'region outside'])
def test_bad_camera_info_withholds_what_is_metric(
        scene: Scene, change: Callable[[CameraInfo], None], words: str):
    info = info_from_intrinsics(INTRINSICS, Header())
    change(info)
    scene.said(words, DiagnosticStatus.WARN, lambda: scene.camera.publish(info=info))
    scene.until(lambda: scene.masks and scene.relatives, 'masks and relative depth',
                lambda: scene.camera.publish(info=info))
    assert not scene.depths and not scene.clouds and not scene.infos
    assert all(not s.metric and not s.mount_source for s in scene.statuses)
    assert scene.process.log.count(words) == 1
    scene.until_works()


def test_without_camera_info_masks_still_flow(scene: Scene):
    scene.said('no message on /camera_info', DiagnosticStatus.WARN,
               lambda: scene.camera.publish(with_info=False))
    scene.until(lambda: scene.masks, 'masks', lambda: scene.camera.publish(with_info=False))
    assert not scene.depths and not scene.clouds and not scene.infos
    scene.until_works()


def test_rectified_image_takes_p_and_needs_no_warning(graph: Graph, plane_model: Path):
    graph_scene = Scene(graph, model=plane_model, image_geometry='rectified', **MOUNTED)
    info = info_from_intrinsics(INTRINSICS, Header())
    info.d = [-0.3, 0.1, 0.0, 0.0, 0.0]
    info.k = np.zeros(9)
    graph_scene.until(lambda: graph_scene.depths, 'metric depth',
                      lambda: graph_scene.camera.publish(info=info))
    assert 'rectified' not in graph_scene.process.log


def test_two_publishers_are_named(scene: Scene):
    scene.until_works()
    Camera(scene.graph)
    status = scene.said('2 publishers on /image (/test, /test)', DiagnosticStatus.WARN,
                        scene.camera.publish)
    assert 'remap all but one' in status.message


def test_size_may_change_mid_stream(scene: Scene):
    scene.until_works()
    small = replace(INTRINSICS.resized(160, 120))
    scene.infos.clear()
    scene.until(lambda: len(scene.depths) > 3, 'depth of smaller images', lambda: (
        scene.camera.publish(half_red(160, 120), info_from_intrinsics(small, Header()))))
    newest = scene.depths[-1]
    depth = np.frombuffer(newest.data, np.float32).reshape(newest.height, newest.width)
    assert depth.shape == (64, 80)
    assert np.nanmin(depth) == pytest.approx(np.nanmin(np.frombuffer(
        scene.depths[0].data, np.float32)), rel=1e-4)
    assert scene.process.exit_code is None


def test_silence_is_reported(scene: Scene):
    scene.said('no image comes on /image', DiagnosticStatus.WARN, lambda: None)


@pytest.mark.parametrize(('make', 'words'), [
    (lambda path, good: None, 'no model file'),
    (lambda path, good: path.write_bytes(good.read_bytes()[:1000]), 'not a complete ONNX file'),
    (lambda path, good: path.write_bytes(_with_card(None)), 'has no model card'),
    (lambda path, good: path.write_bytes(_with_card('{"schema_version": 99}')),
     'schema version 99'),
], ids=['absent', 'truncated', 'no card', 'other schema'])
def test_bad_model_file_ends_the_node(graph: Graph, tmp_path: Path, plane_model: Path,
                                      make: Callable[[Path, Path], Any], words: str):
    path = tmp_path / 'model.onnx'
    make(path, plane_model)
    _assert_fatal(graph.start('perception', model=path), words)


@pytest.mark.parametrize(('parameters', 'words'), [
    ({'backend': 'abacus'}, 'backend is "abacus", it must be one of auto'),
    ({'mount__height': -1.0}, 'mount.height'),
    ({'threads': 'many'}, 'threads'),
    ({'output_size': 'huge'}, 'it must be one of model, camera'),
])
def test_wrong_parameter_ends_the_node(graph: Graph, plane_model: Path,
                                       parameters: dict[str, Any], words: str):
    _assert_fatal(graph.start('perception', model=plane_model, **parameters), words)


def _assert_fatal(process: NodeProcess, words: str) -> None:
    assert process.wait() == 1
    lines = [line for line in process.log.splitlines() if line.strip()]
    assert len(lines) == 1 and '[FATAL]' in lines[0] and words in lines[0]


def _with_card(text: str | None) -> bytes:
    import tempfile

    from helpers.plane_model import plane_graph, save_model
    with tempfile.TemporaryDirectory() as folder:
        return save_model(Path(folder) / 'model.onnx', plane_graph(64, 80), text).read_bytes()


def test_an_inference_that_fails_costs_one_frame(graph: Graph, tmp_path: Path):
    scene = Scene(graph, model=write_fragile_model(tmp_path / 'fragile.onnx'))
    status = scene.said('ONNX Runtime failed on an image', DiagnosticStatus.ERROR,
                        scene.camera.publish)
    values = {v.key: v.value for v in status.values}
    assert int(values['refused']) > 0
    assert not scene.masks
    dark = np.zeros((240, 320, 3), np.uint8)
    scene.until(lambda: scene.masks, 'masks of dark images', lambda: scene.camera.publish(dark))


def test_a_network_size_that_the_model_was_not_trained_for_is_said(graph: Graph, tmp_path: Path):
    card = plane_card(resize='minimal', resize_target=(64, 64), size_multiple=16)
    path = save_model(tmp_path / 'wide.onnx', plane_graph(64, 80), card.to_json())
    scene = Scene(graph, model=path, **MOUNTED)
    wide = np.zeros((160, 320, 3), np.uint8)
    scene.said('export it again with --image-size 320x160', DiagnosticStatus.WARN,
               lambda: scene.camera.publish(wide))
    scene.until_works()

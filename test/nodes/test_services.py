"""The services of the perception node: enable, load_model, predict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from helpers.camera import FRAME_ID, INTRINSICS, half_red
from helpers.code_model import write_code_model
from helpers.fragile_model import write_fragile_model
from helpers.graph import Graph
from helpers.plane_model import CONFIDENCE, plane_card, plane_graph, save_model, write_plane_model
from helpers.scene import MOUNTED, Scene
from helpers.services import call
from rcl_interfaces.srv import GetParameters
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool

from dense_perception.geometry.mount import Mount
from dense_perception.ros.camera_info import info_from_intrinsics
from dense_perception.ros.images import image_from_array
from dense_perception.ros.qos import LATCHED
from dense_perception_msgs.msg import SegmentationClasses
from dense_perception_msgs.srv import LoadModel, Predict

HEADER = Header(frame_id=FRAME_ID)


@pytest.fixture
def scene(graph: Graph, plane_model: Path) -> Scene:
    return Scene(graph, model=plane_model, **MOUNTED)


def load(scene: Scene, model: object, backend: str = '') -> LoadModel.Response:
    return call(scene.graph, LoadModel, 'perception/load_model', scene.camera.publish,
                model=str(model), backend=backend)


def offered(scene: Scene) -> set[str]:
    return {name for name, _ in scene.graph.node.get_publisher_names_and_types_by_node(
        'perception', '/') if name.startswith(('/depth', '/segmentation'))}


def test_paused_and_resumed(scene: Scene):
    scene.until_works()
    answer = call(scene.graph, SetBool, 'perception/enable', data=False)
    assert answer.success and answer.message == 'paused; the node is active'
    scene.forget()
    scene.until(lambda: len(scene.diagnostics) > 1, 'diagnostics', scene.camera.publish)
    assert scene.diagnostics[-1].status[0].message == 'paused by the service enable'
    assert not scene.masks and not scene.statuses
    assert call(scene.graph, SetBool, 'perception/enable', data=True).success
    scene.until_works()


def test_another_model_takes_over_while_frames_flow(scene: Scene, tmp_path: Path):
    """Depth and mask, then depth only, then masks only: topics and classes follow the card."""
    scene.until_works()
    latched = scene.graph.collect(SegmentationClasses, 'segmentation/classes', LATCHED)
    scene.until(lambda: latched, 'the first classes')
    answer = load(scene, write_code_model(tmp_path / 'code.onnx', 'metric'))
    assert answer.success and answer.message == 'model code on onnxruntime-cpu serves'
    scene.until(lambda: not any('segmentation' in name for name in offered(scene)),
                'the end of the masks', scene.camera.publish)
    scene.until_works()
    value = call(scene.graph, GetParameters, 'perception/get_parameters', names=['model'])
    assert value.values[0].string_value == str(tmp_path / 'code.onnx')
    latched.clear()
    assert load(scene, write_fragile_model(tmp_path / 'masks.onnx')).success
    dark = np.zeros((240, 320, 3), np.uint8)
    scene.forget()
    scene.until(lambda: scene.masks, 'masks', lambda: scene.camera.publish(dark))
    scene.until(lambda: latched, 'the classes of the new model')
    assert offered(scene) == {'/segmentation/mask', '/segmentation/overlay',
                              '/segmentation/classes'}
    final = scene.until(lambda: scene.statuses and scene.statuses[-1], 'a status')
    assert 0 <= final.frames_in - final.frames_out - final.dropped - final.refused <= 1


def test_a_model_that_cannot_be_loaded_changes_nothing(scene: Scene, tmp_path: Path):
    scene.until_works()
    broken = tmp_path / 'broken.onnx'
    broken.write_bytes(b'no model')
    for model, backend, words in ((tmp_path / 'none.onnx', '', 'no model file'),
                                  (broken, '', 'not a complete ONNX file'),
                                  ('xnet_small', 'abacus', 'unknown backend')):
        answer = load(scene, model, backend)
        assert not answer.success
        assert words in answer.message and answer.message.endswith(
            'model plane on onnxruntime-cpu serves')
    scene.until_works()
    scene.until(lambda: scene.statuses, 'a status', scene.camera.publish)
    assert {status.model for status in scene.statuses} == {'plane'}


def test_a_model_that_does_not_suit_the_parameters_is_refused(graph: Graph, tmp_path: Path,
                                                              plane_model: Path):
    scene = Scene(graph, model=plane_model, cloud__min_confidence=0.5, **MOUNTED)
    scene.until_works()
    answer = load(scene, write_code_model(tmp_path / 'code.onnx', 'metric'))
    assert not answer.success and 'model code has no confidence' in answer.message


def test_one_image_gets_one_prediction(scene: Scene):
    answer = call(scene.graph, Predict, 'perception/predict',
                  image=image_from_array(half_red(), 'rgb8', HEADER),
                  camera_info=info_from_intrinsics(INTRINSICS, HEADER))
    assert answer.success and answer.metric and answer.message == ''
    assert answer.mount_source == 'parameters'
    assert answer.depth.header == HEADER == answer.camera_info.header
    depth = np.frombuffer(answer.depth.data, np.float32).reshape(64, 80)
    scaled = INTRINSICS.resized(80, 64)
    truth = Mount.from_pitch_roll(0.3, 0.0, 0.8).ground_depth(scaled)
    near = np.nan_to_num(truth, nan=np.inf) < 20
    np.testing.assert_allclose(depth[near], truth[near], rtol=1e-4)
    np.testing.assert_allclose(answer.camera_info.k[0], scaled.fx)
    assert set(np.frombuffer(answer.mask.data, np.uint8)) == {0, 1}
    assert set(np.frombuffer(answer.confidence.data, np.uint8)) == {CONFIDENCE}


def test_one_image_without_calibration_is_relative_and_a_bad_one_refused(scene: Scene):
    good = image_from_array(half_red(), 'rgb8', HEADER)
    answer = call(scene.graph, Predict, 'perception/predict', image=good,
                  camera_info=CameraInfo())
    assert answer.success and not answer.metric
    assert answer.camera_info == CameraInfo()
    bad = Image(header=HEADER, encoding='hsv8', width=4, height=4)
    answer = call(scene.graph, Predict, 'perception/predict', image=bad)
    assert not answer.success and 'encoding "hsv8" is unknown' in answer.message
    scene.until_works()


def test_services_answer_while_a_frame_is_worked_on(graph: Graph, tmp_path: Path):
    """Also the one that waits for its turn with the worker, and it disturbs no frame."""
    model = write_plane_model(tmp_path / 'slow.onnx', 1024, 1280)
    scene = Scene(graph, model=model, threads=1, **MOUNTED)
    scene.until_works()
    for _ in range(3):
        answer = call(graph, Predict, 'perception/predict', scene.camera.publish,
                      image=image_from_array(half_red(), 'rgb8', HEADER),
                      camera_info=info_from_intrinsics(INTRINSICS, HEADER))
        assert answer.metric
        assert call(graph, GetParameters, 'perception/get_parameters', scene.camera.publish,
                    names=['model']).values[0].string_value == str(model)
    scene.until_works()
    assert not any(s.refused for s in scene.statuses)


def test_before_it_is_configured_services_say_so(graph: Graph, plane_model: Path):
    scene = Scene(graph, model=plane_model, autostart=False)
    answer = load(scene, plane_model)
    assert not answer.success and 'the node is unconfigured' in answer.message
    answer = call(graph, Predict, 'perception/predict')
    assert not answer.success and 'it must be active' in answer.message
    assert call(graph, SetBool, 'perception/enable', data=False).success
    scene.until(lambda: scene.diagnostics, 'diagnostics')
    assert scene.diagnostics[-1].status[0].level == DiagnosticStatus.OK, scene.diagnostics[-1]


def test_the_class_list_of_masks_follows_the_model(scene: Scene, tmp_path: Path):
    scene.until_works()
    latched = scene.graph.collect(SegmentationClasses, 'segmentation/classes', LATCHED)
    scene.until(lambda: latched, 'the classes')
    card = plane_card(name='other plane')
    assert load(scene, save_model(tmp_path / 'other.onnx', plane_graph(64, 80),
                                  card.to_json())).success
    scene.until(lambda: latched[-1].model == 'other plane', 'the classes of the other model')
    scene.until_works()

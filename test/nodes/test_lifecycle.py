"""The life cycle of the perception node, driven as a lifecycle manager drives it."""

from __future__ import annotations

from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from helpers.graph import Graph
from helpers.scene import MOUNTED, Scene
from helpers.services import call, change_state, state
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters


@pytest.fixture
def managed(graph: Graph, plane_model: Path) -> Scene:
    return Scene(graph, model=plane_model, autostart=False, **MOUNTED)


def topics(graph: Graph) -> set[str]:
    return {name for name, _ in graph.node.get_publisher_names_and_types_by_node(
        'perception', '/') if name.startswith(('/depth', '/segmentation'))}


def publish_in_vain(scene: Scene) -> None:
    """Images come, the node is there, and nothing goes out."""
    scene.forget()
    scene.until(lambda: len(scene.diagnostics) > 1, 'diagnostics', scene.camera.publish)
    assert not scene.masks and not scene.depths and not scene.statuses


def text(name: str, value: object) -> Parameter:
    return Parameter(name=name, value=ParameterValue(
        type=ParameterType.PARAMETER_STRING, string_value=str(value)))


def set_parameter(graph: Graph, name: str, value: object):
    return call(graph, SetParameters, 'perception/set_parameters',
                parameters=[text(name, value)]).results[0]


def test_all_transitions_and_back(managed: Scene):
    graph = managed.graph
    assert state(graph) == 'unconfigured'
    assert not topics(graph)
    for _ in range(2):
        assert change_state(graph, 'configure')
        assert state(graph) == 'inactive'
        graph.spin_until(lambda: '/depth/image_rect' in topics(graph), 'the topics')
        publish_in_vain(managed)
        assert managed.diagnostics[-1].status[0].message == 'inactive'
        assert graph.node.count_subscribers('/image') == 0
        assert change_state(graph, 'activate')
        managed.until_works()
        assert change_state(graph, 'deactivate')
        publish_in_vain(managed)
        assert change_state(graph, 'activate')
        managed.until_works()
        status = managed.until(lambda: managed.statuses and managed.statuses[-1], 'a status')
        assert 0 <= status.frames_in - status.frames_out - status.dropped <= 1
        assert change_state(graph, 'deactivate') and change_state(graph, 'cleanup')
        graph.spin_until(lambda: not topics(graph), 'the end of the topics')
        assert state(graph) == 'unconfigured'
    assert change_state(graph, 'unconfigured_shutdown')
    assert state(graph) == 'finalized'
    assert managed.process.exit_code is None and 'Traceback' not in managed.process.log


def test_impossible_transitions_are_refused_and_survived(managed: Scene):
    assert not change_state(managed.graph, 'activate')
    assert not change_state(managed.graph, 'cleanup')
    assert change_state(managed.graph, 'configure')
    assert not change_state(managed.graph, 'configure')
    assert state(managed.graph) == 'inactive'
    assert 'no such transition from state unconfigured' in managed.process.log


def test_a_failed_configure_says_why_and_can_be_mended(graph: Graph, plane_model: Path,
                                                       tmp_path: Path):
    scene = Scene(graph, model=tmp_path / 'none.onnx', autostart=False, **MOUNTED)
    assert not change_state(graph, 'configure')
    assert state(graph) == 'unconfigured'
    scene.said('not configured: no model file', DiagnosticStatus.ERROR, lambda: None)
    assert set_parameter(graph, 'model', plane_model).successful
    assert change_state(graph, 'configure') and change_state(graph, 'activate')
    scene.until_works()
    scene.forget()
    graph.spin_until(lambda: scene.diagnostics, 'diagnostics')
    assert 'not configured' not in scene.diagnostics[-1].status[0].message


def test_what_needs_another_configure_is_refused_while_it_runs(managed: Scene):
    graph = managed.graph
    assert set_parameter(graph, 'output_size', 'camera').successful
    assert change_state(graph, 'configure')
    for name, value, words in (('output_size', 'model', 'clean the node up first'),
                               ('model', 'xnet_small', 'the service load_model changes it'),
                               ('flying_pixels', 'some', 'must be one of')):
        result = set_parameter(graph, name, value)
        assert not result.successful and words in result.reason
    assert set_parameter(graph, 'flying_pixels', 'remove').successful
    assert change_state(graph, 'activate')
    managed.until_works()
    assert (managed.depths[-1].width, managed.depths[-1].height) == (320, 240)


def test_autostart_cannot_change(managed: Scene):
    result = call(managed.graph, SetParameters, 'perception/set_parameters', parameters=[
        Parameter(name='autostart', value=ParameterValue(type=1, bool_value=True))]).results[0]
    assert not result.successful

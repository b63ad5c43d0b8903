"""What the launch files declare and start, checked without ROS's launch."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from helpers.launch_stand_in import Recording
from helpers.source_tree import ROOT

from dense_perception.nodes import (
    image_source_node,
    multi_camera_node,
    perception_node,
    point_cloud_node,
)
from dense_perception.ros import dds

FILES = {file.name.removesuffix('.launch.py'): file
         for file in sorted((ROOT / 'launch').glob('*.launch.py'))}
ON_A_CAMERA = ('dpt_depth', 'perception', 'xnet_depth', 'xnet_segmentation')
NAV2 = {'namespace', 'params_file', 'use_sim_time', 'log_level', 'use_respawn'}
DECLARED = {'perception': {d.name: d for d in perception_node.PARAMETERS},
            'image_source': {d.name: d for d in image_source_node.PARAMETERS},
            'multi_camera': {d.name: d for d in multi_camera_node.PARAMETERS},
            'point_cloud': {d.name: d for d in point_cloud_node.PARAMETERS}}
OTHERS = {'multi_camera', 'point_cloud'}  # their nodes are not called perception


@pytest.fixture(params=FILES)
def any_recording(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Recording:
    return Recording(FILES[request.param], monkeypatch)


@pytest.fixture(params=[name for name in FILES if name not in OTHERS])
def recording(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Recording:
    return Recording(FILES[request.param], monkeypatch)


def of(name: str, monkeypatch: pytest.MonkeyPatch) -> Recording:
    return Recording(FILES[name], monkeypatch)


def test_these_are_the_launch_files() -> None:
    assert set(FILES) == {*ON_A_CAMERA, *OTHERS, 'demo'}


def test_every_argument_is_at_top_level_and_described(any_recording: Recording) -> None:
    assert any_recording.arguments.keys() >= NAV2
    for options in any_recording.arguments.values():
        assert options['description'].endswith('.')
        assert options['choices'] is None or options['default_value'] in options['choices']


def test_only_these_need_an_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = {(name, argument) for name in FILES
              for argument, options in of(name, monkeypatch).arguments.items()
              if options['default_value'] is None}
    assert needed == {('dpt_depth', 'model'), ('multi_camera', 'cameras')}
    hint = of('dpt_depth', monkeypatch).arguments['model']['description']
    assert 'dense-perception convert' in hint


def test_default_files_are_installed(recording: Recording) -> None:
    node = recording.nodes(model='model.onnx')['perception']
    assert node['parameters'][0].args == ('config/perception.yaml',)
    for argument in ('params_file', 'rviz_config', 'source_params_file'):
        if argument in recording.arguments:
            default = recording.arguments[argument]['default_value']
            assert default.args[0][0].args == ('dense_perception',)
            assert (ROOT / Path(*default.args[0][1:])).is_file()


def test_nodes_are_executables_with_declared_parameters(recording: Recording) -> None:
    """Every argument that is a parameter arrives under a declared name with its type."""
    given = {'mount_height': '1', 'mount_pitch': '0.2', 'mount_roll': '0', 'source': 'world',
             'ground_frame': 'base_link', 'model': '12', 'use_sim_time': 'True'}
    nodes = recording.nodes(**{k: v for k, v in given.items() if k in recording.arguments})
    set_up = (ROOT / 'setup.py').read_text()
    for name, node in nodes.items():
        assert node['package'] == 'dense_perception' and f"'{node['executable']} = " in set_up
        file, values = node['parameters']
        assert file.options == {'allow_substs': True}
        assert values.pop('use_sim_time') is True
        assert values
        for parameter, value in values.items():
            kind = type(DECLARED[name][parameter].default)
            if kind is str:  # as text even if it looks like a number
                assert value.kind == 'ParameterValue' and value.options == {'value_type': str}
            else:
                assert type(value) is kind


def test_what_is_not_given_is_left_to_the_parameter_files(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ('perception', 'demo'):
        for node in of(name, monkeypatch).nodes().values():
            assert node['parameters'][1] == {'use_sim_time': False}
    _, values = of('xnet_depth', monkeypatch).nodes()['perception']['parameters']
    assert values['model'].args == ('xnet_small',)


@pytest.mark.parametrize('name', ON_A_CAMERA)
def test_topics_and_namespace_follow_the_arguments(name: str,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    node = of(name, monkeypatch).nodes(
        model='m.onnx', namespace='front', image='/a/image_rect', camera_info='/a/camera_info',
        log_level='debug', use_respawn='true')['perception']
    assert dict(node['remappings']) == {'image': '/a/image_rect', 'camera_info': '/a/camera_info'}
    assert node['namespace'] == 'front' and node['respawn'] is True
    assert node['arguments'] == ['--ros-args', '--log-level', 'debug']


def test_a_length_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match='"mount_height" is "high", it must be a number'):
        of('perception', monkeypatch).nodes(mount_height='high')


def test_the_profile_is_set_before_any_node(any_recording: Recording) -> None:
    kinds = [entity.kind for entity in any_recording.entities]
    assert kinds[-2:] == ['SetEnvironmentVariable', 'OpaqueFunction']
    name, value = any_recording.entities[-2].args
    assert name == value.args[0] == dds.PROFILE_VARIABLE
    assert value.options == {'default_value': str(dds.PROFILE)}


def test_rviz_comes_first_and_only_when_asked_for(recording: Recording) -> None:
    assert 'rviz' not in recording.nodes(model='m.onnx')
    nodes = recording.nodes(model='m.onnx', rviz='true', rviz_frame='base_link', namespace='a')
    assert next(iter(nodes)) == 'rviz' and len(nodes) >= 2
    assert nodes['rviz']['arguments'] == ['-d', 'config/dense_perception.rviz', '-f', 'base_link']
    assert nodes['rviz']['remappings'] == nodes['perception']['remappings']
    assert nodes['rviz']['namespace'] == 'a'


def test_a_lifecycle_manager_may_start_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    _, values = of('perception', monkeypatch).nodes(autostart='false')['perception']['parameters']
    assert values['autostart'] is False


def test_values_of_several_cameras_reach_every_node_of_the_process(
        monkeypatch: pytest.MonkeyPatch) -> None:
    """By a command line that ROS understands, a model called 12 included."""
    node = of('multi_camera', monkeypatch).nodes(
        cameras='[front, rear]', model='12', image='image_raw', use_sim_time='True',
        autostart='false')['multi_camera']
    words = node['arguments']
    given = dict(w.split(':=') for w, flag in zip(words[1:], words) if flag == '-p')
    read = {name: yaml.safe_load(value) for name, value in given.items()}
    assert read == {'cameras': ['front', 'rear'], 'model': '12', 'use_sim_time': True,
                    'autostart': False}
    assert dict(node['remappings'])['image'] == 'image_raw'
    assert set(node['parameters'][1]) == {'use_sim_time'}


def test_the_point_cloud_takes_any_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    node = of('point_cloud', monkeypatch).nodes(
        depth='/camera/depth/image_raw', camera_info='/camera/depth/camera_info',
        use_colour='false', sync_slop='0.02', mount_height='0.5')['point_cloud']
    assert dict(node['remappings']) == {
        'depth/image_rect': '/camera/depth/image_raw', 'image': 'image',
        'depth/camera_info': '/camera/depth/camera_info', 'segmentation/mask': 'segmentation/mask'}
    file, values = node['parameters']
    assert file.args == ('config/point_cloud.yaml',)
    assert values == {'use_sim_time': False, 'colour': False, 'sync.slop': 0.02,
                      'mount.height': 0.5}
    assert values.keys() - {'use_sim_time'} <= DECLARED['point_cloud'].keys()

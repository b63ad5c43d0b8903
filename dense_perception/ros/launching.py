"""What the launch files share: arguments in Nav2's vocabulary and the nodes they configure.

The tables are plain data; ``launch`` and ``launch_ros``, which have no wheels, are imported only
where a launch description is made of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dense_perception.ros import dds

if TYPE_CHECKING:
    from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

PACKAGE = 'dense_perception'
_BOOLEAN = ('true', 'false', 'True', 'False')  # Nav2's users write either


@dataclass(frozen=True)
class Argument:
    """A launch argument.

    ``default``: None = it must be given. ``in_share``: the default is a file of the package's
    share folder. ``choices``: empty = any. ``topic``: of the node, remapped to the argument's
    value. ``parameter``: of the node, set to the argument's value unless that is empty; ``kind``
    is its type.
    """

    name: str
    default: str | None
    description: str
    choices: tuple[str, ...] = ()
    in_share: bool = False
    topic: str = ''
    parameter: str = ''
    kind: type = str


_BEFORE = 'Goes before params_file; empty = as there.'

MODEL = Argument('model', '', f'Name of a shipped model or path of a model file. {_BEFORE}',
                 parameter='model')
XNET = replace(MODEL, default='xnet_small')
DPT = replace(MODEL, default=None, description='Path of a DPT model file; none is shipped: '
              '"dense-perception convert <checkpoint> --export <file>" makes one.')
CAMERA = (
    Argument('image', 'image', 'Topic of the camera images (sensor_msgs/Image).', topic='image'),
    Argument('camera_info', 'camera_info', 'Topic of the calibration (sensor_msgs/CameraInfo).',
             topic='camera_info'))
CAMERAS = (
    Argument('cameras', None, 'Names of the cameras, as in "[front, rear]"; each is a namespace.'),
    replace(CAMERA[0], description='Topic of the images within the namespace of each camera.'),
    replace(CAMERA[1], description='Topic of the calibration within the namespace of each '
            'camera.'))
DEPTH_CAMERA = (
    Argument('depth', 'depth/image_rect', 'Topic of the depth images (32FC1 or 16UC1).',
             topic='depth/image_rect'),
    Argument('camera_info', 'depth/camera_info', 'Topic of their calibration.',
             topic='depth/camera_info'),
    Argument('image', 'image', 'Topic of colour images of the same view.', topic='image'),
    Argument('mask', 'segmentation/mask', 'Topic of masks of the same view.',
             topic='segmentation/mask'),
    Argument('use_colour', '', f'Whether the points get colours. {_BEFORE}', ('', *_BOOLEAN),
             parameter='colour', kind=bool),
    Argument('use_mask', '', f'Whether the points get classes. {_BEFORE}', ('', *_BOOLEAN),
             parameter='mask', kind=bool),
    Argument('sync_slop', '', 'Seconds by which the stamps of depth, image and mask may differ. '
             f'{_BEFORE}', parameter='sync.slop', kind=float))
AUTOSTART = Argument('autostart', '', 'Configure and activate at the start; false leaves that to '
                     f'a lifecycle manager. {_BEFORE}', ('', *_BOOLEAN), parameter='autostart',
                     kind=bool)
MOUNT = (
    Argument('mount_height', '', f'Height of the camera above the ground in metres. {_BEFORE}',
             parameter='mount.height', kind=float),
    Argument('mount_pitch', '', f'Pitch of the camera in radians, above 0 looks down. {_BEFORE}',
             parameter='mount.pitch', kind=float),
    Argument('mount_roll', '', 'Roll of the camera in radians, above 0 turns clockwise as seen '
             f'from behind. {_BEFORE}', parameter='mount.roll', kind=float),
    Argument('ground_frame', '', 'TF frame on the ground in which the mount is looked up. '
             f'{_BEFORE}', parameter='mount.ground_frame'))
NODE = (
    Argument('params_file', 'config/perception.yaml', 'Parameters of the perception node.',
             in_share=True),
    Argument('use_sim_time', 'false', 'Take the time from /clock.', _BOOLEAN),
    Argument('log_level', 'info', 'Level of the logs.',
             ('debug', 'info', 'warn', 'error', 'fatal')),
    Argument('use_respawn', 'false', 'Start a node again if it crashes.', _BOOLEAN))
RVIZ = (
    Argument('rviz', 'false', 'Start RViz too.', _BOOLEAN),
    Argument('rviz_config', 'config/dense_perception.rviz', 'What RViz shows.', in_share=True),
    Argument('rviz_frame', 'camera_optical_frame', 'Fixed frame of RViz; the frame_id of the '
             'images, or any frame that TF connects with it.'))
SOURCE = (
    Argument('source', '', 'What is played: a folder of pictures, a picture, a video, a rosbag2 '
             'bag, /dev/videoN, world[:SEED] or demo. Goes before source_params_file; empty = as '
             'there.', parameter='source'),
    Argument('source_params_file', 'config/image_source.yaml',
             'Parameters of the image_source node.', in_share=True))


def namespace(of: str) -> Argument:
    """The argument ``namespace``."""
    return Argument('namespace', '', f'Namespace of {of}.')


def camera_launch(model: Argument = MODEL) -> LaunchDescription:
    """The perception node on a camera's topics.

    :param model: the argument ``model``; a launch file may give it another default.
    """
    return _describe(
        (namespace('the node and its topics'), *CAMERA, model, *MOUNT, AUTOSTART, *NODE, *RVIZ),
        lambda context: [*_rviz(context), _perception(context)])


def demo_launch() -> LaunchDescription:
    """Image source and perception node, joined by their default topics."""
    return _describe(
        (namespace('the nodes and their topics'), *SOURCE, MODEL, *NODE, *RVIZ),
        lambda context: [*_rviz(context), _perception(context), _image_source(context)])


def multi_camera_launch() -> LaunchDescription:
    """Perception for several cameras in one process; mounts are for the parameter file."""
    return _describe(
        (namespace('the nodes and their topics'), *CAMERAS, MODEL, AUTOSTART, *NODE),
        lambda context: [_multi_camera(context)])


def point_cloud_launch() -> LaunchDescription:
    """Clouds of depth from any source."""
    file = replace(NODE[0], default='config/point_cloud.yaml',
                   description='Parameters of the point_cloud node.')
    return _describe(
        (namespace('the node and its topics'), *DEPTH_CAMERA, *MOUNT, file, *NODE[1:]),
        lambda context: [_node(context, 'point_cloud', 'params_file', (*DEPTH_CAMERA, *MOUNT),
                               _remappings(context, DEPTH_CAMERA))])


def _describe(arguments: tuple[Argument, ...],
              nodes: Callable[[LaunchContext], list[LaunchDescriptionEntity]]
              ) -> LaunchDescription:
    """Arguments at top level, where --show-args finds them; nodes once their values are known."""
    from launch import LaunchDescription
    from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
    from launch.substitutions import EnvironmentVariable

    def declared(argument: Argument) -> DeclareLaunchArgument:
        default = _in_share(argument.default) if argument.in_share else argument.default
        return DeclareLaunchArgument(argument.name, default_value=default,
                                     description=argument.description,
                                     choices=list(argument.choices) or None)

    # Images and clouds need more shared memory than Fast DDS takes by default.
    profile = SetEnvironmentVariable(dds.PROFILE_VARIABLE, EnvironmentVariable(
        dds.PROFILE_VARIABLE, default_value=str(dds.PROFILE)))
    return LaunchDescription([*map(declared, arguments), profile, OpaqueFunction(function=nodes)])


def _perception(context: LaunchContext) -> LaunchDescriptionEntity:
    return _node(context, 'perception', 'params_file', (MODEL, *MOUNT, AUTOSTART),
                 _remappings(context))


def _multi_camera(context: LaunchContext) -> LaunchDescriptionEntity:
    """Its values are those of every node in its process, so they cannot go by a node's name."""
    values = context.launch_configurations
    given = [f'cameras:={values["cameras"]}', f'use_sim_time:={values["use_sim_time"].lower()}']
    # Quoted, because a model may be called 12.
    given += [f'model:={json.dumps(values["model"])}'] if values['model'] else []
    given += [f'autostart:={values["autostart"].lower()}'] if values['autostart'] else []
    return _node(context, 'multi_camera', 'params_file', (), _remappings(context),
                 [word for value in given for word in ('-p', value)])


def _image_source(context: LaunchContext) -> LaunchDescriptionEntity:
    return _node(context, 'image_source', 'source_params_file', SOURCE[:1], [])


def _node(context: LaunchContext, executable: str, file: str, given: tuple[Argument, ...],
          remappings: list[tuple[str, str]],
          more: Sequence[str] = ()) -> LaunchDescriptionEntity:
    from launch_ros.actions import Node
    from launch_ros.parameter_descriptions import ParameterFile
    values = context.launch_configurations
    parameters: dict[str, Any] = {'use_sim_time': _is_true(context, 'use_sim_time')}
    parameters |= {a.parameter: _typed(a, values[a.name]) for a in given
                   if a.parameter and values.get(a.name)}
    return Node(
        package=PACKAGE, executable=executable, name=executable, namespace=values['namespace'],
        output='screen', remappings=remappings,
        parameters=[ParameterFile(values[file], allow_substs=True), parameters],
        arguments=['--ros-args', '--log-level', values['log_level'], *more],
        respawn=_is_true(context, 'use_respawn'), respawn_delay=2.0)


def _typed(argument: Argument, value: str) -> Any:
    """The parameter's value: mount_height:=1 is a length, and a model may be called 1."""
    from launch_ros.parameter_descriptions import ParameterValue
    if argument.kind is str:
        return ParameterValue(value, value_type=str)
    if argument.kind is bool:
        return value.lower() == 'true'
    try:
        return float(value)
    except ValueError:
        raise ValueError(f'argument "{argument.name}" is "{value}", it must be a number') from None


def _remappings(context: LaunchContext,
                topics: tuple[Argument, ...] = CAMERA) -> list[tuple[str, str]]:
    values = context.launch_configurations
    return [(a.topic, values[a.name]) for a in topics if a.topic and a.name in values]


def _rviz(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """RViz if it is asked for.

    To be started first: where it is missing, launch ends with an error, and would leave behind
    the node that it has just started.
    """
    if not _is_true(context, 'rviz'):
        return []
    from launch_ros.actions import Node
    values = context.launch_configurations
    return [Node(
        package='rviz2', executable='rviz2', name='rviz', namespace=values['namespace'],
        output='screen', remappings=_remappings(context),
        parameters=[{'use_sim_time': _is_true(context, 'use_sim_time')}],
        arguments=['-d', values['rviz_config'], '-f', values['rviz_frame']])]


def _is_true(context: LaunchContext, argument: str) -> bool:
    return context.launch_configurations[argument].lower() == 'true'


def _in_share(file: str) -> Any:
    from launch.substitutions import PathJoinSubstitution
    from launch_ros.substitutions import FindPackageShare
    return PathJoinSubstitution([FindPackageShare(PACKAGE), *file.split('/')])

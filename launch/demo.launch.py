"""Launch the perception node on the demo clip, or on another source."""

from __future__ import annotations

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare('dense_perception')

ARGUMENTS = (
    DeclareLaunchArgument('namespace', default_value='',
                          description='Namespace of the nodes and their topics.'),
    DeclareLaunchArgument('source', default_value='demo', description='What is played: a folder '
                          'of pictures, a picture, a video, a rosbag2 bag, /dev/videoN, '
                          'world[:SEED] or demo; goes before source_params_file.'),
    DeclareLaunchArgument('model', default_value='xnet_small',
                          description='Name of a shipped model or path of a model file; goes '
                          'before params_file.'),
    DeclareLaunchArgument(
        'params_file', description='Parameters of the perception node.',
        default_value=PathJoinSubstitution([SHARE, 'config', 'perception.yaml'])),
    DeclareLaunchArgument(
        'source_params_file', description='Parameters of the image_source node.',
        default_value=PathJoinSubstitution([SHARE, 'config', 'image_source.yaml'])),
    DeclareLaunchArgument('log_level', default_value='info', description='Level of the logs.',
                          choices=['debug', 'info', 'warn', 'error', 'fatal']))


def generate_launch_description() -> LaunchDescription:
    """Image source and perception node, joined by their default topics."""
    # First, because it also sets the environment of what comes after it.
    perception = IncludeLaunchDescription(
        PathJoinSubstitution([SHARE, 'launch', 'xnet_depth.launch.py']),
        launch_arguments={name: LaunchConfiguration(name) for name in (
            'namespace', 'model', 'params_file', 'log_level')}.items())
    source = Node(
        package='dense_perception', executable='image_source', name='image_source',
        namespace=LaunchConfiguration('namespace'), output='screen',
        parameters=[ParameterFile(LaunchConfiguration('source_params_file'), allow_substs=True),
                    {'source': LaunchConfiguration('source')}],
        arguments=['--ros-args', '--log-level', LaunchConfiguration('log_level')])
    return LaunchDescription([*ARGUMENTS, perception, source])

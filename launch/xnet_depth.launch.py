"""Launch the perception node on a camera's topics."""

from __future__ import annotations

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile
from launch_ros.substitutions import FindPackageShare

from dense_perception.ros import dds

ARGUMENTS = (
    DeclareLaunchArgument('namespace', default_value='',
                          description='Namespace of the node and its topics.'),
    DeclareLaunchArgument('image', default_value='image',
                          description='Topic of the camera images (sensor_msgs/Image).'),
    DeclareLaunchArgument('camera_info', default_value='camera_info',
                          description='Topic of the camera calibration.'),
    DeclareLaunchArgument('model', default_value='xnet_small',
                          description='Name of a shipped model or path of a model file; goes '
                          'before params_file.'),
    DeclareLaunchArgument(
        'params_file', description='Parameters of the node.', default_value=PathJoinSubstitution(
            [FindPackageShare('dense_perception'), 'config', 'perception.yaml'])),
    DeclareLaunchArgument('use_sim_time', default_value='false', choices=['true', 'false'],
                          description='Take the time from /clock.'),
    DeclareLaunchArgument('log_level', default_value='info', description='Level of the log.',
                          choices=['debug', 'info', 'warn', 'error', 'fatal']),
    DeclareLaunchArgument('use_respawn', default_value='false', choices=['true', 'false'],
                          description='Start the node again if it crashes.'))


def generate_launch_description() -> LaunchDescription:
    """Perception node with its topics remapped."""
    node = Node(
        package='dense_perception', executable='perception', name='perception',
        namespace=LaunchConfiguration('namespace'), output='screen',
        parameters=[ParameterFile(LaunchConfiguration('params_file'), allow_substs=True),
                    {'model': LaunchConfiguration('model'),
                     'use_sim_time': LaunchConfiguration('use_sim_time')}],
        remappings=[('image', LaunchConfiguration('image')),
                    ('camera_info', LaunchConfiguration('camera_info'))],
        arguments=['--ros-args', '--log-level', LaunchConfiguration('log_level')],
        respawn=LaunchConfiguration('use_respawn'), respawn_delay=2.0)
    return LaunchDescription([*ARGUMENTS, _profile(), node])


def _profile() -> SetEnvironmentVariable:
    """Images and clouds need more shared memory than Fast DDS takes by default."""
    return SetEnvironmentVariable(dds.PROFILE_VARIABLE, EnvironmentVariable(
        dds.PROFILE_VARIABLE, default_value=str(dds.PROFILE)))

"""Parameter files for other packages against what those packages declare and what we publish.

The tables are what the packages' sources declare (Nav2 and semantic_segmentation_layer: jazzy,
spatio_temporal_voxel_layer: ros2, rtabmap_ros: jazzy-devel, read in November 2026); none of these
packages is installed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.source_tree import ROOT
from rclpy.qos import (
    DurabilityPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from dense_perception.inference.model_file import ModelFile
from dense_perception.nodes.perception_node import PARAMETERS
from dense_perception.ros import outputs, qos
from dense_perception.ros.cloud_settings import CloudSettings, contradiction, ground_split

CARD = ModelFile.open('xnet_small').card
NAV2 = ROOT / 'config' / 'nav2'
FILES = sorted([*NAV2.glob('*.yaml'), ROOT / 'config' / 'rtabmap.yaml'])
TOPICS: dict[str, Any] = {**outputs.message_types(CARD, may_scale=False),
                          outputs.LABEL_INFO: 'LabelInfo'}

SENSOR_DATA = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT,
                         durability=DurabilityPolicy.VOLATILE)
RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE,
                      durability=DurabilityPolicy.VOLATILE)
LATCHED = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE,
                     durability=DurabilityPolicy.TRANSIENT_LOCAL)

WANTED = {
    'topic': (PointCloud2, SENSOR_DATA), 'pointcloud_topic': (PointCloud2, SENSOR_DATA),
    'segmentation_topic': (Image, SENSOR_DATA), 'confidence_topic': (Image, SENSOR_DATA),
    'labels_topic': ('LabelInfo', LATCHED)}
"""Parameter that names a topic -> the message type and QoS its subscription asks for."""

OBSTACLE_SOURCE = {
    'topic', 'sensor_frame', 'observation_persistence', 'expected_update_rate', 'data_type',
    'min_obstacle_height', 'max_obstacle_height', 'inf_is_valid', 'marking', 'clearing',
    'obstacle_max_range', 'obstacle_min_range', 'raytrace_max_range', 'raytrace_min_range'}
VOXEL = {
    'plugin', 'enabled', 'footprint_clearing_enabled', 'min_obstacle_height',
    'max_obstacle_height', 'z_voxels', 'origin_z', 'z_resolution', 'unknown_threshold',
    'mark_threshold', 'combination_method', 'publish_voxel_map', 'observation_sources'}
STVL = {
    'plugin', 'observation_sources', 'transform_tolerance', 'enabled', 'publish_voxel_map',
    'voxel_size', 'combination_method', 'mark_threshold', 'update_footprint_enabled',
    'track_unknown_space', 'decay_model', 'voxel_decay', 'mapping_mode', 'map_save_duration'}
STVL_SOURCE = {
    'topic', 'sensor_frame', 'observation_persistence', 'expected_update_rate', 'data_type',
    'min_obstacle_height', 'max_obstacle_height', 'inf_is_valid', 'marking', 'clearing',
    'obstacle_range', 'min_z', 'max_z', 'vertical_fov_angle', 'vertical_fov_padding',
    'horizontal_fov_angle', 'decay_acceleration', 'filter', 'voxel_min_points',
    'clear_after_reading', 'enabled', 'model_type'}
SEMANTIC = {
    'plugin', 'enabled', 'combination_method', 'observation_sources', 'publish_debug_topics',
    'use_approximate_time_sync'}
SEMANTIC_SOURCE = {
    'segmentation_topic', 'confidence_topic', 'labels_topic', 'pointcloud_topic',
    'observation_persistence', 'expected_update_rate', 'class_types', 'max_obstacle_distance',
    'min_obstacle_distance', 'tile_map_decay_time', 'visualize_tile_map', 'use_cost_selection'}
SEMANTIC_TYPE = {'classes', 'base_cost', 'max_cost', 'mark_confidence', 'samples_to_max_cost',
                 'dominant_priority'}
LAYERS = {'nav2_costmap_2d::VoxelLayer': (VOXEL, OBSTACLE_SOURCE),
          'spatio_temporal_voxel_layer/SpatioTemporalVoxelLayer': (STVL, STVL_SOURCE),
          'semantic_segmentation_layer::SemanticSegmentationLayer': (SEMANTIC, SEMANTIC_SOURCE)}
RTABMAP = {'frame_id', 'subscribe_depth', 'approx_sync', 'sync_queue_size', 'qos'}


def parameters(file: Path, *path: str) -> dict[str, Any]:
    """The parameters of a node in a file."""
    document = yaml.safe_load(file.read_text())
    for name in path:
        document = document[name]
    return document['ros__parameters']


def layer_of(file: Path) -> tuple[str, dict[str, Any]]:
    """The costmap layer that a file is about, which its list of plugins names."""
    costmap = parameters(file, 'local_costmap', 'local_costmap')
    (name,) = costmap.keys() - {'plugins'}
    assert costmap['plugins'] == [name, 'inflation_layer']
    return name, costmap[name]


def sources_of(layer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: layer[name] for name in layer['observation_sources'].split()}


@pytest.mark.parametrize('file', FILES, ids=lambda f: f.stem)
def test_our_own_section_is_valid(file: Path):
    values = parameters(file, '/**/perception')
    table = {d.name: d for d in PARAMETERS}
    assert values.keys() <= table.keys()
    for name, value in values.items():
        assert type(value) is type(table[name].default), name
        assert table[name].problem(value) is None
    assert contradiction({d.name: d.default for d in PARAMETERS} | values) is None


@pytest.mark.parametrize('file', sorted(NAV2.glob('*.yaml')), ids=lambda f: f.stem)
def test_layers_get_only_what_they_declare(file: Path):
    _, layer = layer_of(file)
    declared, of_source = LAYERS[layer['plugin']]
    sources = sources_of(layer)
    assert layer.keys() - sources.keys() <= declared
    for source in sources.values():
        types = source.get('class_types', [])
        assert source.keys() - set(types) <= of_source
        for name in types:
            assert source[name].keys() == SEMANTIC_TYPE


@pytest.mark.parametrize('file', sorted(NAV2.glob('*.yaml')), ids=lambda f: f.stem)
def test_layers_listen_to_topics_that_we_publish_in_their_type_and_quality(file: Path):
    named = [(key, value) for source in sources_of(layer_of(file)[1]).values()
             for key, value in source.items() if key.endswith('topic')]
    assert named
    for key, topic in named:
        kind, asked = WANTED[key]
        assert topic.startswith('/') and TOPICS[topic[1:]] == kind, f'{key}: {topic}'
        offered = qos.LATCHED if kind == 'LabelInfo' else qos.OUTPUT
        assert qos_check_compatible(offered, asked)[0] != QoSCompatibility.ERROR


def test_the_voxel_grid_reaches_over_camera_and_obstacles():
    layer = layer_of(NAV2 / 'voxel_layer.yaml')[1]
    assert layer['z_voxels'] <= 16  # of which the layer is made
    top = layer['origin_z'] + layer['z_voxels'] * layer['z_resolution']
    assert top >= layer['max_obstacle_height'] >= CloudSettings().heights.high
    ground = layer['camera_ground']
    assert not ground['marking'] and ground['clearing']
    # Our ground scatters by obstacles.min_height about zero; the layer drops what is outside.
    assert ground['min_obstacle_height'] < -CloudSettings().heights.low
    assert ground['max_obstacle_height'] > CloudSettings().heights.low
    assert all(source['data_type'] == 'PointCloud2' for source in sources_of(layer).values())


def test_stvl_marks_and_clears_from_different_sources():
    sources = sources_of(layer_of(NAV2 / 'stvl.yaml')[1])
    assert sources['camera_mark']['marking'] and not sources['camera_mark']['clearing']
    assert sources['camera_clear']['clearing'] and not sources['camera_clear']['marking']


def test_every_class_has_a_type_but_those_that_are_to_be_ignored():
    source = layer_of(NAV2 / 'semantic_segmentation_layer.yaml')[1]['camera']
    typed = [name for kind in source['class_types'] for name in source[kind]['classes']]
    assert len(typed) == len(set(typed))
    assert set(typed) == {c.name for c in CARD.classes} - set(CloudSettings().ignored)
    split = ground_split(CARD, CloudSettings().ground, CloudSettings().ignored)
    assert split.knows_classes and source['traversable']['classes'] == ['ground']


def test_rtabmap_gets_what_it_declares():
    for name in ('rgbd_odometry', 'rtabmap'):
        values = parameters(ROOT / 'config' / 'rtabmap.yaml', f'/**/{name}')
        own = {key for key in values if '/' not in key}
        assert own <= RTABMAP
        # Parameters of its core library are strings, whatever they hold.
        assert all(isinstance(values[key], str) for key in values.keys() - own)


def remappings() -> Iterator[tuple[str, str, str]]:
    """(line, from, to) of every remapping in the page's commands."""
    for line in (ROOT / 'docs' / 'navigation.md').read_text().splitlines():
        for source, target in re.findall(r'(\S+):=(/\S+)', line):
            yield line, source, target


def test_the_commands_of_the_page_remap_to_our_topics_or_the_cameras():
    kinds = {'image_rect': Image, 'depth/image': Image, 'depth_registered/image_rect': Image,
             'camera_info': CameraInfo}
    seen = set()
    for line, source, target in remappings():
        if target.startswith('/camera/'):
            continue
        assert TOPICS[target[1:]] == kinds[source], line
        # image_transport and depth_image_proc take the info beside the image.
        if source == 'image_rect':
            assert TOPICS[target[1:].rpartition('/')[0] + '/camera_info'] is CameraInfo
        assert qos_check_compatible(qos.OUTPUT, RELIABLE)[0] != QoSCompatibility.ERROR
        seen.add(source)
    assert seen >= {'image_rect', 'depth/image'}
    for name in FILES:
        assert name.name in (ROOT / 'docs' / 'navigation.md').read_text()

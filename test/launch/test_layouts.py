"""The RViz and Foxglove layouts show topics that the nodes have, in displays for their types."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import yaml
from helpers.plane_model import plane_card
from helpers.source_tree import ROOT
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from dense_perception.ros.outputs import message_types
from dense_perception_msgs.msg import InferenceStatus

TYPES = {'image': Image, 'camera_info': CameraInfo,
         **{topic.replace('~', 'perception'): kind
            for topic, kind in message_types(plane_card(), may_scale=True).items()}}
SHOWN = {'image', 'depth/coloured', 'segmentation/overlay', 'depth/points', 'depth/obstacles'}


def test_rviz() -> None:
    config = yaml.safe_load((ROOT / 'config' / 'dense_perception.rviz').read_text())
    displays = config['Visualization Manager']['Displays']
    topics = {d['Topic']['Value']: d['Class'].split('/')[1] for d in displays if 'Topic' in d}
    assert topics.keys() >= SHOWN
    for topic, display in topics.items():
        assert TYPES[topic].__name__ == display


def test_foxglove() -> None:
    layout = json.loads((ROOT / 'config' / 'foxglove_layout.json').read_text())
    panels = layout['configById']
    assert sorted(leaves(layout['layout'])) == sorted(panels)
    shown: dict[str, type] = {'/diagnostics': dict}
    for panel in panels.values():
        shown |= dict.fromkeys(panel.get('topics', ()), PointCloud2)
        for key, kind in (('imageTopic', Image), ('calibrationTopic', CameraInfo)):
            if key in panel.get('imageMode', {}):
                shown[panel['imageMode'][key]] = kind
    assert {topic.lstrip('/') for topic in shown} >= SHOWN
    for topic, kind in shown.items():
        assert topic == '/diagnostics' or TYPES[topic.lstrip('/')] is kind
    for path in panels['Plot!latency']['paths']:
        topic, _, field = path['value'].lstrip('/').partition('.')
        assert TYPES[topic] is InferenceStatus
        assert field in InferenceStatus.get_fields_and_field_types()


def leaves(layout: Any) -> Iterator[str]:
    if isinstance(layout, str):
        yield layout
    else:
        yield from leaves(layout['first'])
        yield from leaves(layout['second'])

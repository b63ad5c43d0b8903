"""dense_perception_msgs as rosidl has built it: present, complete, and the same over the wire."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest
from geometry_msgs.msg import Vector3
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import ColorRGBA

import dense_perception_msgs.action as actions
import dense_perception_msgs.msg as msgs
import dense_perception_msgs.srv as srvs
from dense_perception.inference.card import UNLABELLED

INTERFACES = Path(__file__).resolve().parent.parent / 'dense_perception_msgs'
SOURCES = sorted((INTERFACES / 'msg').iterdir())
SERVICES = sorted((INTERFACES / 'srv').iterdir())
ACTIONS = sorted((INTERFACES / 'action').iterdir())

FILLED = [
    msgs.CameraMount(gravity=Vector3(x=0.0, y=0.8, z=0.6), height=0.75),
    msgs.InferenceStatus(
        model='xnet', backend='onnxruntime-cpu', metric=True, mount_source='parameters',
        stages=[msgs.StageTime(name='infer', milliseconds=7.5)], latency_ms=12.25, age_ms=1.5,
        frames_in=2 ** 40, frames_out=3, dropped=4, refused=5),
    msgs.SegmentationClasses(
        model='xnet', classes=[msgs.SegmentationClass(
            id=254, name='person', color=ColorRGBA(r=1.0, g=0.5, b=0.25, a=1.0))]),
]


@pytest.mark.parametrize('source', SOURCES, ids=lambda source: source.stem)
def test_built_message_has_the_fields_of_its_source(source: Path) -> None:
    uncommented = re.sub(r'#.*', '', source.read_text())
    fields = re.findall(r'^\S+\s+([a-z]\w*)\s*$', uncommented, re.MULTILINE)
    assert fields, f'{source.name} declares no field'
    assert list(getattr(msgs, source.stem).get_fields_and_field_types()) == fields


@pytest.mark.parametrize('message', FILLED, ids=lambda message: type(message).__name__)
def test_serialised_message_comes_back_equal(message: object) -> None:
    assert deserialize_message(serialize_message(message), type(message)) == message


def test_masks_and_model_cards_agree_on_the_unlabelled_value() -> None:
    assert msgs.SegmentationClass.UNLABELLED == UNLABELLED


@pytest.mark.parametrize(('source', 'room', 'parts'), [
    *((source, srvs, ('Request', 'Response')) for source in SERVICES),
    *((source, actions, ('Goal', 'Result', 'Feedback')) for source in ACTIONS)],
    ids=lambda value: getattr(value, 'stem', ''))
def test_built_service_or_action_has_the_fields_of_its_source(
        source: Path, room: ModuleType, parts: tuple[str, ...]) -> None:
    uncommented = re.sub(r'#.*', '', source.read_text())
    for part, text in zip(parts, uncommented.split('---'), strict=True):
        fields = re.findall(r'^\S+\s+([a-z]\w*)\s*$', text, re.MULTILINE)
        built = getattr(getattr(room, source.stem), part)
        assert fields and list(built.get_fields_and_field_types()) == fields

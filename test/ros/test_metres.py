"""The sources of metres together: what is asked, what is said, and what the status names."""

from __future__ import annotations

import numpy as np
import pytest
import rclpy
from helpers.graph import Graph
from helpers.messages import stamp_of
from helpers.plane_model import plane_card
from rclpy.parameter import Parameter
from std_msgs.msg import Header

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.mount import Mount
from dense_perception.inference.prediction import Prediction
from dense_perception.ros import cloud_settings, metres
from dense_perception.ros.conditions import Conditions
from dense_perception.ros.parameters import Parameters

CAMERA = Intrinsics(75.0, 76.0, 39.5, 31.5, 80, 64)
MOUNT = Mount.from_pitch_roll(0.3, 0.0, 0.8)
KNOWN = {'mount.height': 0.8, 'mount.pitch': 0.3}
HEADER = Header(stamp=stamp_of(100), frame_id='camera')
DEPTH = np.fmin(MOUNT.ground_depth(CAMERA), 30).astype(np.float32)


def frame(graph: Graph, convention: str, mount: str, values: dict,
          intrinsics: Intrinsics | None = CAMERA) -> tuple[Mount | None, bool, str, list[str]]:
    """One frame of true depth up to scale: the mount, is it metric, its source, what was said."""
    node = rclpy.create_node('metres', context=graph.node.context, parameter_overrides=[
        Parameter(name, value=value) for name, value in values.items()])
    said: list[str] = []
    sources = metres.Metres(
        node, Parameters(node, (*metres.PARAMETERS, *cloud_settings.PARAMETERS)),
        plane_card(depth_convention=convention, mount=mount),
        Conditions(lambda level, sentence: said.append(sentence)))
    taken = sources.begin(HEADER, intrinsics)
    found = taken.mount.mount
    metric = convention == 'metric' and (mount == 'none' or found is not None and bool(intrinsics))
    prediction = Prediction(depth=DEPTH / 2, labels=None, confidence=None, metric=metric)
    result = sources.scale(taken, prediction)
    return found, result.metric, sources.finish(taken, result.metric), said


def test_a_model_that_takes_the_mount(graph: Graph):
    assert frame(graph, 'metric', 'optional', KNOWN) == (MOUNT, True, 'parameters', [])
    found, metric, source, said = frame(graph, 'metric', 'optional', {})
    assert (found, metric, source) == (None, False, '')
    assert len(said) == 1 and said[0].startswith("the camera's mount is unknown, so depth is "
                                                 'relative (depth/relative): parameter')
    assert frame(graph, 'metric', 'optional', {'mount.source': 'none', 'scale.source': 'none'})[
        3] == []


def test_a_metric_model_that_takes_none_has_the_mount_for_the_ground_split(graph: Graph):
    assert frame(graph, 'metric', 'none', KNOWN) == (MOUNT, True, '', [])
    assert frame(graph, 'metric', 'none', {}) == (None, True, '', [])


@pytest.mark.parametrize('values', [{}, {'scale.source': 'ground'}])
def test_a_relative_model(graph: Graph, values: dict):
    assert frame(graph, 'affine', 'none', KNOWN | values) == (MOUNT, True, 'ground:parameters', [])
    found, metric, source, said = frame(graph, 'affine', 'none', values)
    assert (found, metric, source) == (None, False, '')
    assert len(said) == 1 and said[0].startswith('depth is relative (depth/relative): ')
    assert "ground: the camera's mount is unknown (parameter mount.height is not set" in said[0]
    assert frame(graph, 'affine', 'none', KNOWN | {'scale.source': 'none'}) == (
        MOUNT, False, '', [])


def test_without_intrinsics_nothing_is_named(graph: Graph):
    assert frame(graph, 'affine', 'none', KNOWN, None) == (
        MOUNT, False, '', ['depth is relative (depth/relative): the intrinsics are unknown'])
    assert frame(graph, 'metric', 'optional', KNOWN, None)[1:3] == (False, '')

"""Conditions, statistics, parameters and the DDS profile."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from dense_perception.nodes import (
    image_source_node,
    multi_camera_node,
    perception_node,
    point_cloud_node,
)
from dense_perception.ros import conditions, dds
from dense_perception.ros.conditions import Conditions, Level
from dense_perception.ros.parameters import Declaration
from dense_perception.ros.statistics import Statistics

ROOT = Path(__file__).resolve().parents[2]


def test_condition_is_said_once_and_reported_until_it_is_over():
    said: list[str] = []
    state = Conditions(lambda level, sentence: said.append(f'{level.name} {sentence}'))
    for _ in range(3):
        state.raise_('image', Level.ERROR, 'bad image')
    state.raise_('mount', Level.WARN, 'no mount')
    assert said == ['ERROR bad image', 'WARN no mount']
    assert state.report() == [(Level.ERROR, 'bad image'), (Level.WARN, 'no mount')]
    state.clear('image')
    assert state.report() == [(Level.WARN, 'no mount')]


def test_what_was_over_before_the_report_is_still_in_it():
    state = Conditions(lambda level, sentence: None)
    state.raise_('image', Level.ERROR, 'bad image')
    state.clear('image')
    assert state.report() == [(Level.ERROR, 'bad image')]
    assert state.report() == []


def test_flickering_condition_is_not_said_again_and_again(monkeypatch: pytest.MonkeyPatch):
    said: list[str] = []
    state = Conditions(lambda level, sentence: said.append(sentence))
    for _ in range(5):
        state.raise_('size', Level.WARN, 'wrong size')
        state.clear('size')
    assert said == ['wrong size']
    monkeypatch.setattr(conditions, 'SAY_AGAIN_AFTER_S', 0.0)
    state.raise_('size', Level.WARN, 'wrong size')
    assert said == ['wrong size'] * 2


def test_statistics():
    statistics = Statistics()
    for latency in (1.0, 2.0, 3.0, math.nan):
        statistics.arrived()
        statistics.timed({'latency': latency, 'publish': 0.5})
    statistics.refused('bad')
    counts = statistics.published()
    assert (counts.frames_in, counts.frames_out, counts.refused) == (4, 1, 1)
    assert statistics.last_refusal == 'bad'
    assert statistics.percentiles()['latency'] == (2.0, pytest.approx(2.9))
    assert statistics.percentiles()['publish'] == (0.5, 0.5)


@pytest.mark.parametrize(('declaration', 'good', 'bad'), [
    (Declaration('a', 'x', '', choices=('x', 'y')), 'y', 'z'),
    (Declaration('a', 0.5, '', minimum=0.0, maximum=1.0), 1.0, 1.5),
    (Declaration('a', 0.5, '', minimum=0.0, maximum=1.0), 0.0, math.nan),
    (Declaration('a', 5, '', minimum=0, maximum=10), 10, -1)])
def test_limits_have_reasons(declaration: Declaration, good: object, bad: object):
    assert declaration.problem(good) is None
    assert re.match(rf'a is "?{bad}"?, it must be', declaration.problem(bad))


@pytest.mark.parametrize('node', [
    perception_node, image_source_node, multi_camera_node, point_cloud_node])
def test_parameter_file_has_every_default(node):
    name = node.__name__.rpartition('.')[2].removesuffix('_node')
    document = yaml.safe_load((ROOT / 'config' / f'{name}.yaml').read_text())
    written = document[f'/**/{name}']['ros__parameters']
    assert written == {d.name: d.default for d in node.PARAMETERS}
    page = (ROOT / 'docs' / 'nodes.md').read_text()
    for declaration in node.PARAMETERS:
        assert f'`{declaration.name}`' in page, f'docs/nodes.md lacks {declaration.name}'


def test_profile_is_shipped_once_and_says_what_the_code_says():
    text = dds.PROFILE.read_text()
    assert f'<segment_size>{dds.SEGMENT_BYTES}</segment_size>' in text
    assert f'<maxMessageSize>{dds.SEGMENT_BYTES // 2}</maxMessageSize>' in text
    assert (ROOT / 'config' / 'fastdds.xml').read_text() == text


def test_a_newcomer_hears_of_who_runs_already_within_half_a_second():
    # By default only every 3 s, and a node that starts later waits for it.
    of_dds = '{http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles}'
    period = ElementTree.parse(dds.PROFILE).getroot().find(f'.//{of_dds}leaseAnnouncement')
    said = {part.tag.removeprefix(of_dds): part.text for part in period}
    assert said == {'nanosec': '500000000'}


@pytest.mark.parametrize('chosen', [None, '/some/profile.xml'])
def test_profile_of_the_user_stays(chosen: str | None):
    environment = {k: v for k, v in os.environ.items() if k != dds.PROFILE_VARIABLE}
    if chosen:
        environment[dds.PROFILE_VARIABLE] = chosen
    code = ('from dense_perception.ros import dds; import os; dds.use_shipped_profile();'
            'print(os.environ[dds.PROFILE_VARIABLE], dds.shipped_profile_in_use())')
    done = subprocess.run([sys.executable, '-c', code], env=environment, capture_output=True,
                          text=True, check=True)
    assert done.stdout.split() == [chosen or str(dds.PROFILE), str(chosen is None)]

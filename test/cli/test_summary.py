"""Numbers of a run from frames and samples made by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from helpers.plane_model import plane_card

from dense_perception.cli.mosaic import choose_rows
from dense_perception.cli.observer import Frame, Sample
from dense_perception.cli.summary import accuracy, timing
from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.cloud import CloudBuilder

FRAME = Frame(received=10.0, latency_ms=30.0, age_ms=4.0,
              stages_ms={'convert': 1.0, 'inference': 20.0, 'publish': 2.0}, frames_in=3,
              frames_out=2, dropped=1, metric=True, model='plane', backend='cpu')


def sample(**changes: object) -> Sample:
    depth = np.full((64, 80), 2.0, np.float32)
    depth[:32] = np.nan
    camera = Intrinsics(80.0, 80.0, 39.5, 31.5, 80, 64)
    labels = np.zeros((64, 80), np.uint8)
    return replace(Sample(0.0, np.zeros((64, 80, 3), np.uint8), depth, True, camera, None, labels,
                          CloudBuilder().build(depth, camera), depth * 1.25, labels), **changes)


def test_timing():
    last = replace(FRAME, received=12.0, frames_in=30, frames_out=22, dropped=8, latency_ms=50.0,
                   age_ms=math.nan)
    result = timing([FRAME, last])
    assert (result['frames_in'], result['frames_out'], result['dropped']) == (30, 22, 8)
    assert result['fps'] == 10.0
    assert result['latency_ms'] == {'p50': 40.0, 'p95': 49.0, 'p99': 49.8}
    assert result['inference_ms'] == {'p50': 20.0, 'p95': 20.0}
    assert result['overhead_ms'] == {'p50': 3.0}
    assert result['age_ms'] == {'p95': 4.0}
    assert timing([FRAME])['fps'] is None


def test_accuracy_against_truth():
    result = accuracy([sample(), sample()], plane_card())
    assert result['depth'] == {'valid_share': 0.5, 'abs_rel': pytest.approx(0.2), 'd1': 0.0}
    assert result['segmentation'] == {'miou': 1.0}
    assert result['cloud'] == {'points': 2560, 'valid_share': 0.5}


def test_what_cannot_be_measured_is_none():
    nothing = sample(true_depth=None, true_labels=None, points=None)
    result = accuracy([nothing], plane_card())
    assert result['depth'] == {'valid_share': 0.5, 'abs_rel': None, 'd1': None}
    assert result['segmentation'] == {'miou': None}
    assert result['cloud'] == {'points': None, 'valid_share': None}
    relative = accuracy([sample(metric=False)], plane_card())
    assert relative['depth']['abs_rel'] is None


def test_truth_of_another_size_and_range_is_handled():
    truth = np.full((128, 160), 2.0, np.float32)
    far = np.full((64, 80), 90.0, np.float32)
    card = plane_card(depth_range=(0.1, 80.0))
    assert accuracy([sample(true_depth=truth)], card)['depth']['abs_rel'] == 0
    assert accuracy([sample(true_depth=far)], card)['depth']['abs_rel'] is None


def test_rows_are_different_and_in_order():
    def grey(value: int, seconds: float) -> Sample:
        return sample(image=np.full((64, 80, 3), value, np.uint8), seconds=seconds)

    samples = [grey(v, float(i)) for i, v in enumerate((10, 12, 200, 11, 90, 13))]
    assert [s.seconds for s in choose_rows(samples, 3)] == [0.0, 2.0, 4.0]
    assert choose_rows(samples[:1], 4) == samples[:1]

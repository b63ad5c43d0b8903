"""Numbers of one run: rates and times from the node's own status, accuracy against the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from dense_perception.cli.observer import Frame, Sample
from dense_perception.inference.card import ModelCard
from dense_perception.metrics import (
    DepthAccuracy,
    DepthProtocol,
    SegmentationAccuracy,
    depth_metrics,
)

INFERENCE_STAGE = 'inference'


def timing(frames: Sequence[Frame]) -> dict[str, Any]:
    """Counts, rate and times of the frames put out, in the order they came.

    ``latency_ms``: header stamp to last output published; ``age_ms``: header stamp to begin of
    work; ``overhead_ms``: all stages but inference. ``fps``: frames put out between the first
    status and the last, over the time between them; None with fewer than two.

    :param frames: at least one.
    """
    first, last = frames[0], frames[-1]
    seconds = last.received - first.received
    inference = [frame.stages_ms[INFERENCE_STAGE] for frame in frames]
    overhead = [sum(frame.stages_ms.values()) - inference[i] for i, frame in enumerate(frames)]

    return {
        'frames_in': last.frames_in, 'frames_out': last.frames_out, 'dropped': last.dropped,
        'fps': round((last.frames_out - first.frames_out) / seconds, 2) if seconds > 0 else None,
        'latency_ms': _percentiles([frame.latency_ms for frame in frames], 50, 95, 99),
        'inference_ms': _percentiles(inference, 50, 95),
        'overhead_ms': _percentiles(overhead, 50),
        'age_ms': _percentiles([frame.age_ms for frame in frames], 95),
        'backend': last.backend, 'model': last.model}


def accuracy(samples: Sequence[Sample], card: ModelCard) -> dict[str, Any]:
    """Quality of the samples; None where there is nothing to measure it with or by.

    ``depth.valid_share``: pixels with a depth; ``abs_rel`` and ``d1`` only for metric depth with
    truth, within the card's depth range. ``cloud.points``: mean number of points with a position,
    ``valid_share``: their share of all.
    """
    depth = DepthAccuracy(protocol(card))
    masks = SegmentationAccuracy(max((c.id for c in card.classes), default=0) + 1)
    for sample in samples:
        if sample.metric and sample.depth is not None and sample.true_depth is not None:
            depth.add(like(sample.depth, sample.true_depth), sample.true_depth)
        if sample.labels is not None and sample.true_labels is not None:
            masks.add(like(sample.labels, sample.true_labels), sample.true_labels)
    depth_result, mask_result = depth.result() or {}, masks.result() or {}
    shares = [np.mean(np.isfinite(s.depth) & (s.depth > 0)) for s in samples
              if s.depth is not None]
    counts = [(np.isfinite(s.points['z']).sum(), s.points.size) for s in samples
              if s.points is not None]
    return {
        'depth': {'valid_share': _mean(shares), 'abs_rel': rounded(depth_result.get('abs_rel')),
                  'd1': rounded(depth_result.get('d1'))},
        'segmentation': {'miou': rounded(mask_result.get('miou'))},
        'cloud': {'points': round(float(np.mean([n for n, _ in counts]))) if counts else None,
                  'valid_share': _mean([n / size for n, size in counts])}}


def depth_errors(sample: Sample, counted: DepthProtocol) -> dict[str, float] | None:
    """Depth metrics of one sample; None without truth or without metric depth."""
    if sample.depth is None or sample.true_depth is None or not sample.metric:
        return None
    return depth_metrics(like(sample.depth, sample.true_depth), sample.true_depth, counted)


def protocol(card: ModelCard) -> DepthProtocol:
    """What counts in the depth of a model: truth within the range of its card."""
    near, far = card.depth_range or (0.0, np.inf)
    return DepthProtocol(max(near, 1e-3), far)


def _percentiles(values: Sequence[float], *shares: int) -> dict[str, float | None]:
    known = [value for value in values if np.isfinite(value)]  # no age without a stamp
    return {f'p{share}': round(float(np.percentile(known, share)), 2) if known else None
            for share in shares}


def like(array: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The array at the height and width of ``target``, by nearest neighbour."""
    if array.shape == target.shape:
        return array
    return cv2.resize(array, target.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def _mean(values: Sequence[float]) -> float | None:
    return rounded(float(np.mean(values))) if values else None


def rounded(value: float | None) -> float | None:
    """Four decimals, which is more than any of it means."""
    return None if value is None else round(value, 4)

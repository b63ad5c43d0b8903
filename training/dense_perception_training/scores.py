"""Scores of a model on a dataset: every task that both have, under the dataset's protocol."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from dense_perception.inference.card import UNLABELLED, ModelCard
from dense_perception.inference.prediction import Prediction
from dense_perception.metrics import (
    DepthAccuracy,
    DepthProtocol,
    MattingAccuracy,
    NormalAccuracy,
    SegmentationAccuracy,
    depth_metrics,
)
from dense_perception_training.datasets import DatasetInfo
from dense_perception_training.sample import Sample

_BINS = 20


def at_size(array: np.ndarray | None, height: int, width: int) -> np.ndarray | None:
    """A prediction at the truth's size: labels at the nearest pixel, all else bilinear.

    What is interpolated from an unknown pixel is unknown.
    """
    if array is None or array.shape[:2] == (height, width):
        return array
    rule = cv2.INTER_LINEAR if array.dtype == np.float32 else cv2.INTER_NEAREST_EXACT
    return cv2.resize(array, (width, height), interpolation=rule)


class Calibration:
    """How often the model is right where it says it is: confidence against accuracy.

    ``ece`` is the expected calibration error: the mean, over pixels, of |confidence - accuracy| of
    the pixel's confidence bin (20 of equal width).
    """

    def __init__(self) -> None:
        self._count, self._confidence, self._right = (np.zeros(_BINS) for _ in range(3))

    def add(self, labels: np.ndarray, confidence: np.ndarray, truth: np.ndarray) -> None:
        """Take in one image: uint8 labels, confidence 0..255 and truth, (H, W) each."""
        counted = truth != UNLABELLED
        probability = confidence[counted].astype(np.float64) / 255
        bins = np.minimum((probability * _BINS).astype(int), _BINS - 1)
        self._count += np.bincount(bins, minlength=_BINS)
        self._confidence += np.bincount(bins, probability, minlength=_BINS)
        self._right += np.bincount(bins, labels[counted] == truth[counted], minlength=_BINS)

    def result(self) -> dict[str, Any] | None:
        """``ece`` and the reliability curve: mean ``confidence`` and ``accuracy`` by bin."""
        total = self._count.sum()
        if not total:
            return None
        there = self._count > 0
        confidence = self._confidence[there] / self._count[there]
        accuracy = self._right[there] / self._count[there]
        share = self._count[there] / total
        return {'ece': float((share * np.abs(confidence - accuracy)).sum()),
                'confidence': confidence.round(4).tolist(),
                'accuracy': accuracy.round(4).tolist(), 'share': share.round(4).tolist()}


class Scores:
    """Takes in predictions and truths, one image after the other.

    ``depth`` is under the dataset's protocol with the alignment that the prediction needs: none
    for metres, a median for what a model with an unknown mount gives, else that of the card's
    convention. ``depth_median_scaled`` is given beside metres.
    """

    def __init__(self, info: DatasetInfo, card: ModelCard, metric: bool) -> None:
        self._card = card
        self._protocol = self.protocol(info.protocol, card, metric)
        self._depth = DepthAccuracy(self._protocol)
        scaled = replace(info.protocol, alignment='median')
        self._scaled = DepthAccuracy(scaled) if metric else None
        self._masks = SegmentationAccuracy(len(card.classes)) if card.classes else None
        self._calibration, self._normals = Calibration(), NormalAccuracy()
        self._matting = MattingAccuracy()
        self.frames = 0

    @staticmethod
    def protocol(protocol: DepthProtocol, card: ModelCard, metric: bool) -> DepthProtocol:
        """The dataset's protocol, aligned as this prediction must be."""
        if card.depth_convention is None or metric:
            return protocol
        if card.depth_convention == 'metric':
            return replace(protocol, alignment='median')
        return protocol.of_convention(card.depth_convention)

    def add(self, prediction: Prediction, sample: Sample) -> dict[str, float]:
        """Take in one image; gives its own depth metrics, for a table by image."""
        size = sample.size
        self.frames += 1
        row: dict[str, float] = {}
        depth = at_size(prediction.depth, *size)
        if depth is not None and sample.depth is not None:
            self._depth.add(depth, sample.depth)
            if self._scaled is not None:
                self._scaled.add(depth, sample.depth)
            row |= depth_metrics(depth, sample.depth, self._protocol) or {}
        labels = at_size(prediction.labels, *size)
        if labels is not None and sample.labels is not None and self._masks is not None:
            self._masks.add(labels, sample.labels)
            known = sample.labels != UNLABELLED
            row['pixel_accuracy'] = float(np.mean(labels[known] == sample.labels[known]))
            confidence = at_size(prediction.confidence, *size)
            if confidence is not None:
                self._calibration.add(labels, confidence, sample.labels)
        normals = at_size(prediction.normals, *size)
        if normals is not None and sample.normals is not None:
            self._normals.add(normals, sample.normals)
        alpha = at_size(prediction.alpha, *size)
        if alpha is not None and sample.alpha is not None:
            self._matting.add(alpha, sample.alpha)
        return row

    def result(self) -> dict[str, Any]:
        """Everything that could be measured, by task."""
        found: dict[str, Any] = {
            'depth': self._depth.result(), 'normals': self._normals.result(),
            'matting': self._matting.result(),
            'depth_median_scaled': self._scaled.result() if self._scaled else None,
            'calibration': self._calibration.result()}
        if self._masks is not None and (result := self._masks.result()):
            names = [c.name for c in self._card.classes]
            found['segmentation'] = result
            found['iou'] = {n: round(float(v), 4) for n, v in
                            zip(names, self._masks.iou(), strict=True) if np.isfinite(v)}
        return {'frames': self.frames, **{k: v for k, v in found.items() if v is not None}}

"""What needs no image: the floor under every result."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from dense_perception.inference.card import UNLABELLED
from dense_perception.metrics import DepthAccuracy, NormalAccuracy, SegmentationAccuracy
from dense_perception_training.datasets import DatasetError, DenseDataset
from dense_perception_training.validation import thinned

_TRAINED_ON = 2000


def per_pixel_baseline(train: DenseDataset, held_out: DenseDataset,
                       limit: int | None = None) -> dict[str, Any]:
    """The training images' geometric mean depth, most frequent label and mean normal, by pixel.

    All images of both must have one size.

    :raises DatasetError: they do not.
    """
    protocol = held_out.info.protocol
    depth, labels, normals = _per_pixel(train)
    plain = DepthAccuracy(protocol)
    scaled = DepthAccuracy(replace(protocol, alignment='median'))
    masks = SegmentationAccuracy(len(held_out.info.classes)) if held_out.info.classes else None
    angles = NormalAccuracy()
    for sample in thinned(held_out, limit):
        _same_size(sample.size, depth.shape)
        if sample.depth is not None:
            plain.add(depth, sample.depth)
            scaled.add(depth, sample.depth)
        if sample.labels is not None and masks is not None:
            masks.add(labels, sample.labels)
        if sample.normals is not None:
            angles.add(normals, sample.normals)
    found = {'depth': plain.result(), 'depth_median_scaled': scaled.result(),
             'segmentation': masks.result() if masks else None, 'normals': angles.result()}
    return {k: v for k, v in found.items() if v is not None}


def image_free_priors(held_out: DenseDataset, limit: int | None = None) -> dict[str, Any]:
    """Median-scaled depth of two guesses that have seen no image at all, nor any training.

    ``constant``: one depth everywhere. ``row_prior``: exp(-1.2 v / H) of row v, top to bottom,
    as of a camera above a floor. Whoever is worse has learnt nothing that carries over.
    """
    protocol = replace(held_out.info.protocol, alignment='median')
    scores = {name: DepthAccuracy(protocol) for name in ('constant', 'row_prior')}
    for sample in thinned(held_out, limit):
        if sample.depth is None:
            continue
        height, width = sample.size
        rows = np.exp(-1.2 * np.arange(height) / height)
        scores['constant'].add(np.ones(sample.size), sample.depth)
        scores['row_prior'].add(np.repeat(rows[:, None], width, axis=1), sample.depth)
    found = {name: score.result() for name, score in scores.items()}
    return {name: value for name, value in found.items() if value is not None}


def _per_pixel(train: DenseDataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    protocol, classes = train.info.protocol, max(len(train.info.classes), 1)
    total = count = votes = directions = None
    for sample in thinned(train, _TRAINED_ON):
        if total is None:
            total, count = np.zeros(sample.size), np.zeros(sample.size)
            votes = np.zeros((classes, *sample.size), np.int32)
            directions = np.zeros((*sample.size, 3))
        _same_size(sample.size, total.shape)
        if sample.depth is not None:
            known = (np.isfinite(sample.depth) & (sample.depth > protocol.near)
                     & (sample.depth < protocol.far))
            total += np.where(known, np.log(np.where(known, sample.depth, 1.0)), 0.0)
            count += known
        if sample.labels is not None:
            rows, columns = np.nonzero(sample.labels != UNLABELLED)
            votes[sample.labels[rows, columns], rows, columns] += 1
        if sample.normals is not None:
            directions += np.nan_to_num(sample.normals)
    if total is None:
        raise DatasetError(f'dataset "{train.info.name}": no image could be read')
    return np.exp(total / np.maximum(count, 1)), votes.argmax(0), directions


def _same_size(size: tuple[int, ...], other: tuple[int, ...]) -> None:
    if tuple(size) != tuple(other):
        raise DatasetError(f'a per-pixel baseline needs images of one size; there are '
                           f'{other[1]}x{other[0]} and {size[1]}x{size[0]}')

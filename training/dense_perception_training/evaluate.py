"""``dense-perception-eval``: measure a model file on held-out frames of the procedural world."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper
from tqdm import tqdm

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.mount import Mount
from dense_perception.inference.backends import BackendError
from dense_perception.inference.card import METADATA_KEY, ModelCard
from dense_perception.inference.model_file import ModelFileError
from dense_perception.inference.predictor import Predictor
from dense_perception.metrics import DepthAccuracy, DepthProtocol, SegmentationAccuracy
from dense_perception_training.shards import Shard, ShardError, list_shards

PROTOCOL = DepthProtocol(near=0.1, far=80.0)
MEDIAN_SCALED = replace(PROTOCOL, alignment='median')


@dataclass(frozen=True)
class Sample:
    """One frame with its truth, as rendered."""

    image: np.ndarray
    depth: np.ndarray
    labels: np.ndarray
    intrinsics: Intrinsics
    mount: Mount


def samples(folder: Path, limit: int | None = None) -> Iterator[Sample]:
    """Frames of all shards below a folder, evenly thinned to ``limit``."""
    shards = [Shard.open(p) for p in list_shards(folder)]
    index = [(s, i) for s in shards for i in range(len(s))]
    step = max(1, len(index) // limit) if limit else 1
    for shard, i in index[::step][:limit]:
        height, width = shard.labels[i].shape
        camera = shard.cameras[i].astype(float)
        # Images stay memory-mapped: not everyone who asks for samples looks at them.
        yield Sample(np.asarray(shard.images[i]), shard.depth[i].astype(np.float32),
                     np.array(shard.labels[i]), Intrinsics(*camera[:4], width, height),
                     Mount(tuple(camera[4:7]), camera[7]))


def evaluate(predictor: Predictor, folder: Path, limit: int | None = None) -> dict[str, Any]:
    """Depth and segmentation metrics, with the mount and without it.

    Rendered frames must have the model's input size, so that truth is compared pixel by pixel.
    ``baseline`` is the best constant per pixel of the training-free kind: the geometric mean of
    the evaluated depth at that pixel, and the most frequent label there.
    """
    with_mount, without = DepthAccuracy(PROTOCOL), DepthAccuracy(MEDIAN_SCALED)
    scaled = DepthAccuracy(MEDIAN_SCALED)
    masks = SegmentationAccuracy(len(predictor.card.classes))
    masks_without = SegmentationAccuracy(len(predictor.card.classes))
    frames = 0
    for sample in tqdm(samples(folder, limit), unit='frame', desc='evaluate'):
        known = predictor.predict(sample.image, sample.intrinsics, sample.mount)
        unknown = predictor.predict(sample.image)
        with_mount.add(known.depth, sample.depth)
        scaled.add(known.depth, sample.depth)
        without.add(unknown.depth, sample.depth)
        masks.add(known.labels, sample.labels)
        masks_without.add(unknown.labels, sample.labels)
        frames += 1
    names = [c.name for c in predictor.card.classes]
    return {'frames': frames, 'depth': with_mount.result(), 'depth_median_scaled': scaled.result(),
            'depth_without_mount_median_scaled': without.result(),
            'segmentation': masks.result(),
            'iou': dict(zip(names, (round(float(v), 4) for v in masks.iou()), strict=True)),
            'segmentation_without_mount': masks_without.result()}


def baseline(train: Path, held_out: Path, limit: int | None = None) -> dict[str, Any]:
    """What needs no image: the training frames' geometric mean depth and modal label per pixel."""
    total = count = votes = None
    for sample in samples(train, 2000):
        valid = (np.isfinite(sample.depth) & (sample.depth > PROTOCOL.near)
                 & (sample.depth < PROTOCOL.far))
        log_depth = np.where(valid, np.log(np.where(valid, sample.depth, 1.0)), 0.0)
        if total is None:
            total, count = np.zeros_like(log_depth), np.zeros(log_depth.shape)
            votes = np.zeros((64, *log_depth.shape), np.int32)
        total += log_depth
        count += valid
        votes[sample.labels, np.arange(votes.shape[1])[:, None], np.arange(votes.shape[2])] += 1
    depth, labels = np.exp(total / np.maximum(count, 1)), votes.argmax(0)
    plain, masks = DepthAccuracy(PROTOCOL), SegmentationAccuracy(int(votes.any((1, 2)).sum()))
    scaled = DepthAccuracy(MEDIAN_SCALED)
    for sample in samples(held_out, limit):
        plain.add(depth, sample.depth)
        scaled.add(depth, sample.depth)
        masks.add(labels, sample.labels)
    return {'depth': plain.result(), 'depth_median_scaled': scaled.result(),
            'segmentation': masks.result()}


def write_metrics(path: Path, metrics: dict[str, Any]) -> None:
    """Put measured metrics into a model file's card; the file is replaced whole."""
    proto = onnx.load(path)
    properties = {p.key: p.value for p in proto.metadata_props}
    card = replace(ModelCard.from_json(properties[METADATA_KEY]), metrics=metrics)
    helper.set_model_props(proto, {**properties, METADATA_KEY: card.to_json()})
    partial = path.with_name(f'{path.name}.partial')
    onnx.save(proto, partial)
    os.replace(partial, path)


def rounded(value: Any) -> Any:
    """Numbers to four digits, through dicts."""
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def main() -> None:
    """Entry point of ``dense-perception-eval``."""
    parser = argparse.ArgumentParser(prog='dense-perception-eval', description=__doc__)
    parser.add_argument('model', help='model file or name of a shipped model')
    parser.add_argument('--data', type=Path, required=True, help='rendered held-out shards')
    parser.add_argument('--train', type=Path, help='training shards, for the per-pixel baseline')
    parser.add_argument('--limit', type=int, help='evaluate this many frames, evenly spread')
    parser.add_argument('--write-card', action='store_true',
                        help="put the result into the model file's card")
    args = parser.parse_args()
    try:
        predictor = Predictor(args.model)
        result = {'data': 'procedural world, held-out scenes and textures',
                  **evaluate(predictor, args.data, args.limit)}
        if args.train:
            result['per_pixel_baseline'] = baseline(args.train, args.data, args.limit)
    except (ModelFileError, BackendError, ShardError) as error:
        raise SystemExit(f'dense-perception-eval: {error}') from None
    result = rounded(result)
    if args.write_card:
        write_metrics(predictor.model.path, result)
    print(json.dumps(result, indent=1))


if __name__ == '__main__':
    main()

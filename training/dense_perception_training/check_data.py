"""``dense-perception-data``: list the datasets, or look at one as training would see it."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from dense_perception.geometry.camera import Intrinsics
from dense_perception.inference.card import UNLABELLED, ClassInfo
from dense_perception.viz import blend, colour_depth, depth_limits, palette
from dense_perception_training.datasets import (
    DatasetError,
    DenseDataset,
    Sample,
    SampleError,
    dataset_info,
    list_datasets,
    open_dataset,
    parse_option,
)
from dense_perception_training.datasets.reading import along_rays

_NAMED = 10  # faults that are named; all are counted
_SHEET_ROWS, _TILE = 8, (320, 240)
_DRAWN = 500  # depths drawn from each sample for the quantiles


class Findings:
    """What the samples of a dataset hold, gathered one after the other."""

    def __init__(self, classes: Sequence[ClassInfo]) -> None:
        self._classes = classes
        self._sizes: Counter[str] = Counter()
        self._known: dict[str, list[float]] = {}
        self._cameras: Counter[str] = Counter()
        self._depths: list[np.ndarray] = []
        self._labels = np.zeros(UNLABELLED + 1, np.int64)
        self._facing: list[float] = []
        self.samples = 0
        self.faults: dict[int, str] = {}

    def add(self, sample: Sample) -> None:
        """Take in one sample."""
        self.samples += 1
        self._sizes[f'{sample.size[1]}x{sample.size[0]}'] += 1
        self._cameras.update(name for name in ('intrinsics', 'gravity', 'camera_height')
                             if getattr(sample, name) is not None)
        for name in ('depth', 'normals', 'alpha'):
            array = getattr(sample, name)
            if array is not None:
                self._known.setdefault(name, []).append(float(np.isfinite(array).mean()))
        if sample.depth is not None:
            known = sample.depth[np.isfinite(sample.depth)]
            self._depths.append(known[::max(len(known) // _DRAWN, 1)])
        if sample.labels is not None:
            self._known.setdefault('labels', []).append(float(
                (sample.labels != UNLABELLED).mean()))
            self._labels += np.bincount(sample.labels.ravel(), minlength=UNLABELLED + 1)
        if sample.normals is not None and sample.intrinsics is not None:
            self._facing.append(_facing(sample.normals, sample.intrinsics))

    def result(self) -> dict[str, Any]:
        """Everything found, for JSON."""
        found: dict[str, Any] = {
            'samples': self.samples, 'unusable': len(self.faults),
            'sizes': dict(self._sizes.most_common(5)), 'with': dict(self._cameras),
            'known': {name: round(float(np.mean(v)), 4) for name, v in self._known.items()}}
        if self._depths:
            values = np.quantile(np.concatenate(self._depths), [0, 0.01, 0.5, 0.99, 1])
            found['depth'] = dict(zip(('min', '1 %', 'median', '99 %', 'max'),
                                      (round(float(v), 3) for v in values)))
        if self._classes and self._labels[:UNLABELLED].any():
            shares = self._labels[:UNLABELLED] / self._labels[:UNLABELLED].sum()
            found['classes'] = {c.name: round(float(shares[c.id]), 4) for c in self._classes}
        if self._facing:
            found['normals_facing_the_camera'] = round(float(np.mean(self._facing)), 4)
        if self.faults:
            found['faults'] = list(self.faults.values())[:_NAMED]
        return found


def check(dataset: DenseDataset, limit: int | None) -> tuple[Findings, list[Sample]]:
    """Read samples, evenly spread; gives what they hold, and some of them to look at."""
    findings, shown = Findings(dataset.info.classes), []
    count = len(dataset) if limit is None else min(limit, len(dataset))
    numbers = np.linspace(0, len(dataset) - 1, count, dtype=int)
    wanted = set(numbers[np.linspace(0, count - 1, min(_SHEET_ROWS, count), dtype=int)].tolist())
    for number in tqdm(numbers.tolist(), unit='sample', desc=dataset.info.name):
        try:
            sample = dataset[number]
        except SampleError as error:
            findings.faults[number] = str(error)
            continue
        findings.add(sample)
        if number in wanted:
            shown.append(sample)
    return findings, shown


def sheet(samples: Sequence[Sample], classes: Sequence[ClassInfo]) -> np.ndarray:
    """Image, depth, mask, normals and matte of samples, as far as there are: uint8 RGB."""
    rows = []
    for sample in samples:
        tiles = [sample.image]
        if sample.depth is not None and np.isfinite(sample.depth).any():
            tiles.append(colour_depth(sample.depth, *depth_limits([sample.depth])))
        if sample.labels is not None:
            tiles.append(blend(sample.image, palette(classes)[sample.labels]))
        if sample.normals is not None:
            # The usual colours: right is red, up is green, towards the camera is blue.
            shade = (sample.normals * np.float32([1, -1, -1]) + 1) * np.float32(127.5)
            tiles.append(np.nan_to_num(shade).astype(np.uint8))
        if sample.alpha is not None:
            tiles.append(np.repeat((255 * np.nan_to_num(sample.alpha)).astype(np.uint8)[..., None],
                                   3, axis=2))
        rows.append(np.concatenate([cv2.resize(t, _TILE, interpolation=cv2.INTER_AREA)
                                    for t in tiles], 1))
    width = max(row.shape[1] for row in rows)
    return np.concatenate([np.pad(row, ((0, 4), (0, width - row.shape[1]), (0, 0)))
                           for row in rows])


def _facing(normals: np.ndarray, k: Intrinsics) -> float:
    """Share of the normals that face the camera, as all that it can see do."""
    along = along_rays(normals, k)
    known = np.isfinite(along)
    return float((along[known] < 0).mean()) if known.any() else 0.0


def overview() -> str:
    """One line about each dataset."""
    infos = [dataset_info(name) for name in list_datasets()]
    return '\n'.join(f'{i.name:13} {", ".join(i.tasks) or "as you say":30} '
                     f'{", ".join(i.splits) or "-":50} {i.home}' for i in infos)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``dense-perception-data``; exits with 1 if a sample cannot be used."""
    parser = argparse.ArgumentParser(prog='dense-perception-data', description=__doc__)
    parser.add_argument('dataset', nargs='?', help='name; without one, the datasets are listed')
    parser.add_argument('root', nargs='?', type=Path, help='its folder')
    parser.add_argument('--split')
    parser.add_argument('--option', action='append', default=[], metavar='KEY=VALUE')
    parser.add_argument('--limit', type=int, help='read this many samples, evenly spread')
    parser.add_argument('--sheet', type=Path, help='picture of some samples to write')
    args = parser.parse_args(arguments)
    if args.dataset is None:
        print(overview())
        return
    if args.root is None:
        parser.error('where is it? Give its folder, too')
    try:
        dataset = open_dataset(args.dataset, args.root, args.split,
                               **dict(parse_option(o) for o in args.option))
    except DatasetError as error:
        raise SystemExit(f'dense-perception-data: {error}') from None
    findings, shown = check(dataset, args.limit)
    print(json.dumps({'of': len(dataset), **findings.result()}, indent=1))
    if args.sheet and shown:
        picture = cv2.cvtColor(sheet(shown, dataset.info.classes), cv2.COLOR_RGB2BGR)
        if not (cv2.haveImageWriter(str(args.sheet)) and cv2.imwrite(str(args.sheet), picture)):
            raise SystemExit(f'dense-perception-data: {args.sheet} cannot be written')
    if findings.faults:
        sys.exit(1)


if __name__ == '__main__':
    main()

"""The demo's picture: camera | depth | mask | cloud from above, a few rows at different times."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from dense_perception import viz
from dense_perception.cli import sheet
from dense_perception.cli.observer import Sample
from dense_perception.cli.sheet import MARGIN, TILE_HEIGHT, TILE_WIDTH, Tile
from dense_perception.cli.summary import depth_errors
from dense_perception.geometry.cloud import CloudBuilder
from dense_perception.inference.card import ClassInfo
from dense_perception.metrics.depth import EVERYWHERE, DepthProtocol

_COLUMNS = ('camera', 'depth', 'mask', 'cloud from above')


class Mosaic:
    """Paints samples of one run.

    :param classes: of the masks.
    :param counted: what of a truth counts.
    """

    def __init__(self, classes: Sequence[ClassInfo],
                 counted: DepthProtocol = EVERYWHERE) -> None:
        self._classes = classes
        self._counted = counted
        self._palette = viz.palette(classes)

    def paint(self, samples: Sequence[Sample], title: str) -> np.ndarray:
        """The picture: uint8 RGB, one row per sample."""
        limits = metric_limits(samples)
        return sheet.paint(title, _COLUMNS, [self.tiles(s, limits) for s in samples],
                           lambda strip: self.legend(strip, limits))

    def tiles(self, sample: Sample, limits: tuple[float, float] | None) -> list[Tile]:
        """Camera, depth, mask and cloud.

        :param limits: colours of metric depth; relative depth is coloured by its own range.
        """
        return [camera_tile(sample), self.depth_tile(sample, limits), self.mask_tile(sample),
                self.cloud_tile(sample)]

    def depth_tile(self, sample: Sample, limits: tuple[float, float] | None) -> Tile:
        """Depth in colours; see ``tiles``."""
        if sample.depth is None:
            return sheet.empty(), 'no depth from this model'
        if limits is None or not sample.metric:
            limits = viz.depth_limits([sample.depth])
        coloured = _as_seen(viz.colour_depth(sample.depth, *limits), sample.image, crisp=False)
        tile = viz.fit(coloured, TILE_WIDTH, TILE_HEIGHT)
        if not sample.metric:
            return tile, 'relative: no mount known, so no metres'
        valid = sample.depth[np.isfinite(sample.depth) & (sample.depth > 0)]
        caption = f'metric, median {np.median(valid):.1f} m' if valid.size else 'nothing in range'
        errors = depth_errors(sample, self._counted)
        return tile, caption + (f', AbsRel {errors["abs_rel"]:.2f}' if errors else '')

    def mask_tile(self, sample: Sample) -> Tile:
        """Classes in their colours over the image."""
        if sample.labels is None:
            return sheet.empty(), 'no mask from this model'
        present = np.bincount(sample.labels.ravel(), minlength=256) / sample.labels.size
        largest = sorted(self._classes, key=lambda c: -present[c.id])[:3]
        caption = ', '.join(f'{c.name} {present[c.id]:.0%}' for c in largest if present[c.id])
        colours = _as_seen(self._palette[sample.labels], sample.image, crisp=True)
        blended = viz.blend(sample.image, colours)
        return viz.fit(blended, TILE_WIDTH, TILE_HEIGHT), caption

    def cloud_tile(self, sample: Sample) -> Tile:
        """The cloud from above."""
        points, depth = sample.points, sample.depth
        if points is None and depth is not None and sample.intrinsics is not None:
            points = CloudBuilder().build(depth, sample.intrinsics)
        if points is None or not np.isfinite(points['z']).any():
            return sheet.empty(), 'no cloud'
        labels = points['label'] if 'label' in points.dtype.names else sample.labels
        colours = np.full((*points.shape, 3), viz.FOREGROUND, np.uint8) if labels is None else \
            self._palette[labels]
        reach = 1.05 * float(np.nanpercentile(points['z'], 95))
        metric = sample.points is not None
        down = sample.mount and sample.mount.down
        tile = viz.cloud_from_above(points, colours, down, reach,
                                    TILE_WIDTH, TILE_HEIGHT, 'm' if metric else '')
        count = f'{np.isfinite(points["z"]).sum()} points'
        return tile, count if metric else f'{count}, scale unknown (not published)'

    def legend(self, strip: np.ndarray, limits: tuple[float, float] | None) -> None:
        """Classes in the first line, the scale of depth in the second."""
        at = MARGIN
        for info in self._classes:
            cv2.rectangle(strip, (at, 8), (at + 16, 20), info.colour, -1)
            at += 22 + viz.text(strip, info.name, (at + 22, 19), 0.42) + 18
        near, far = limits or (1.0, 10.0)
        width = strip.shape[1] - 2 * MARGIN
        scale = np.geomspace(near, far, width)[None].repeat(12, 0)
        strip[30:42, MARGIN:MARGIN + width] = viz.colour_depth(scale, near, far)
        ticks = {near: 'near', far * 0.96: 'far'} if limits is None else {
            step: f'{step:g} m' for power in range(-2, 4)
            for step in (10.0 ** power, 2 * 10.0 ** power, 5 * 10.0 ** power) if near < step < far}
        for depth, label in ticks.items():
            place = int(MARGIN + width * np.log(depth / near) / np.log(far / near))
            cv2.line(strip, (place, 38), (place, 46), viz.FOREGROUND, 1)
            viz.text(strip, label, (place + 4, 57), 0.4)


def camera_tile(sample: Sample) -> Tile:
    """The camera's image."""
    return (viz.fit(sample.image, TILE_WIDTH, TILE_HEIGHT),
            f't = {sample.seconds:.1f} s, {sample.image.shape[1]}x{sample.image.shape[0]}')


def choose_rows(samples: Sequence[Sample], count: int) -> list[Sample]:
    """The samples that look most different from each other, in order of time."""
    thumbnails = [cv2.resize(s.image, (16, 12), interpolation=cv2.INTER_AREA).astype(np.float32)
                  for s in samples]
    chosen = [0]
    while len(chosen) < min(count, len(samples)):
        nearest = [min(float(np.abs(t - thumbnails[i]).mean()) for i in chosen)
                   for t in thumbnails]
        for i in chosen:
            nearest[i] = -1.0
        chosen.append(int(np.argmax(nearest)))
    return [samples[i] for i in sorted(chosen)]


def metric_limits(samples: Sequence[Sample]) -> tuple[float, float] | None:
    """Range of depth in metres for the colours of all samples; None if no depth is metric."""
    depths = [s.depth for s in samples if s.depth is not None and s.metric]
    return viz.depth_limits(depths) if depths else None


def _as_seen(colours: np.ndarray, image: np.ndarray, crisp: bool) -> np.ndarray:
    """Output at the camera image's size and so with its proportions."""
    size = (image.shape[1], image.shape[0])
    return cv2.resize(colours, size,
                      interpolation=cv2.INTER_NEAREST if crisp else cv2.INTER_LINEAR)

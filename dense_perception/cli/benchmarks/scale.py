"""How good the metres are on a camera that nods: by what the node is told of its mount."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dense_perception.cli.benchmarks.sensors import POINTS, disparity_of, follow, points_of
from dense_perception.cli.command import CommandError
from dense_perception.geometry.mount import Mount
from dense_perception.geometry.scale import (
    Alignment,
    AlignmentError,
    align,
    ground_samples,
    point_samples,
)
from dense_perception.geometry.scale_filter import ScaleFilter
from dense_perception.inference.model_file import ModelFileError
from dense_perception.inference.predictor import Predictor
from dense_perception.metrics import DepthProtocol, depth_metrics

_RATE = 15.0  # frames per second
_SWAY_DEGREES = 0.46  # of the drive's camera by itself
_MIN_INLIERS = 0.5  # the node's default
_PROTOCOL = DepthProtocol(0.1, 80.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the benchmark."""
    parser.add_argument('--model', default='xnet_small', help='shipped model or path of a model '
                        'file that takes the mount (default: xnet_small)')
    parser.add_argument('--legs', type=int, default=8, help='scenes to drive through (default: 8)')
    parser.add_argument('--seconds', type=float, default=4.0,
                        help=f'in each, at {_RATE:g} frames per second (default: 4)')
    parser.add_argument('--nod', type=float, default=4.0, metavar='DEGREES',
                        help='by how much the camera nods (default: 4)')
    parser.add_argument('--smoothing', type=float, default=0.0, metavar='SECONDS',
                        help='as scale.smoothing (default: 0)')
    parser.add_argument('--hold', type=float, default=0.5, metavar='SECONDS',
                        help='as scale.hold (default: 0.5)')
    parser.add_argument('--seed', type=int, default=0)


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Accuracy of every row over all frames of a drive."""
    try:
        predictor = Predictor(args.model)
    except ModelFileError as error:
        raise CommandError(str(error)) from None
    grounds = [c.id for c in predictor.card.classes if c.name == 'ground']
    if not predictor.card.takes_mount or not grounds:
        raise CommandError(f'model {predictor.card.name} does not take the mount, or has no class '
                           'named ground')
    scores: dict[str, _Score] = {}
    for leg in range(args.legs):
        rows = _rows(args)
        for moment in _moments(predictor, grounds[0], args, leg):
            for name, row in rows.items():
                scores.setdefault(name, _Score()).add(leg, row(moment), moment.truth)
    return {'model': predictor.card.name, 'nod_degrees': args.nod,
            'frames': len(next(iter(scores.values())).has_metres),
            'results': {name: score.result() for name, score in scores.items()}}


def markdown(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    columns = {'abs_rel': 'AbsRel', 'd1': 'd1', 'scale': 'scale', 'wander': 'scale wanders by',
               'metric': 'frames with metres'}
    lines = [f'{result["model"]}, {result["frames"]} frames, nodding by '
             f'{result["nod_degrees"]:g} degrees', '',
             f'| metres from | {" | ".join(columns.values())} |',
             f'|{"---|" * (1 + len(columns))}']
    for name, row in result['results'].items():
        cells = ('-' if row[c] is None else f'{row[c]:.3f}' for c in columns)
        lines.append(f'| {name} | {" | ".join(cells)} |')
    return '\n'.join(lines)


@dataclass
class _Score:
    """Accuracy of the frames with metres; how their scale lies to the truth, and moves.

    ``scale``: geometric mean of the frames' median p / g. ``wander``: standard deviation of that
    median's logarithm within a scene.
    """

    metrics: list[dict[str, float]] = field(default_factory=list)
    has_metres: list[bool] = field(default_factory=list)
    log_scales: dict[int, list[float]] = field(default_factory=dict)

    def add(self, scene: int, depth: np.ndarray | None, truth: np.ndarray) -> None:
        found = None if depth is None else depth_metrics(depth, truth, _PROTOCOL)
        self.has_metres.append(found is not None)
        if found is not None:
            both = np.isfinite(depth) & np.isfinite(truth)
            self.metrics.append(found)
            self.log_scales.setdefault(scene, []).append(
                float(np.median(np.log(depth[both] / truth[both]))))

    def result(self) -> dict[str, float | None]:
        share = {'metric': float(np.mean(self.has_metres))}
        if not self.metrics:
            return dict.fromkeys(('abs_rel', 'd1', 'scale', 'wander')) | share
        return {**{n: float(np.mean([m[n] for m in self.metrics])) for n in ('abs_rel', 'd1')},
                'scale': float(np.exp(np.mean(np.concatenate(list(self.log_scales.values()))))),
                'wander': float(np.sqrt(np.mean([np.var(s) for s in self.log_scales.values()]))),
                **share}


@dataclass(frozen=True)
class _Moment:
    """One frame: the truth, the predictions, and what the scales are fitted to."""

    time_s: float
    truth: np.ndarray
    depths: dict[str, np.ndarray]  # predictions by name
    ground: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # samples of a prediction
    points: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


_Row = Callable[[_Moment], 'np.ndarray | None']


def _rows(args: argparse.Namespace) -> dict[str, _Row]:
    """What is compared; the rows that smooth have their own memory, so anew for every scene."""
    return {
        'true mount': lambda m: m.depths['true'],
        'IMU': lambda m: m.depths['imu'],
        'fixed pitch and roll': lambda m: m.depths['fixed'],
        'IMU, then scaled to the ground': _scaled(args, 'imu', to_ground=True),
        'no mount, scaled to the ground by IMU': _scaled(args, 'none', to_ground=True),
        f'no mount, scaled to {POINTS} points': _scaled(args, 'none', to_ground=False),
        'true disparity +- 5 %, to the ground by IMU': _scaled(args, 'disparity', to_ground=True),
        f'true disparity +- 5 %, to {POINTS} points': _scaled(args, 'disparity', to_ground=False)}


def _scaled(args: argparse.Namespace, prediction: str, to_ground: bool) -> _Row:
    """The row that scales a prediction as the node does."""
    ambiguity = 'inverse_affine' if prediction == 'disparity' else 'scale'
    smoother = ScaleFilter(args.smoothing, args.hold)

    def row(moment: _Moment) -> np.ndarray | None:
        predicted = moment.depths[prediction]
        samples = moment.ground if to_ground else moment.points
        try:
            found: Alignment | str = align(*samples(predicted), ambiguity, _MIN_INLIERS,
                                           nothing_beyond=to_ground)
        except AlignmentError as error:
            found = str(error)
        alignment = smoother.update(found, moment.time_s).alignment
        return None if alignment is None else alignment.depth(predicted)
    return row


def _moments(predictor: Predictor, ground_id: int, args: argparse.Namespace,
             leg: int) -> Iterator[_Moment]:
    """The frames of one scene from when the IMU has settled."""
    frames = _drive(predictor, args, leg)
    rng = np.random.default_rng([args.seed, leg])
    mounts = [frame.mount for frame in frames]
    followed = follow(mounts, _RATE, rng)
    fixed = Mount(tuple(np.mean([m.down for m in mounts], axis=0)), mounts[0].height)
    for number, (frame, imu) in enumerate(zip(frames, followed)):
        if imu is None:
            continue
        true, by_imu, by_fixed, bare = (
            predictor.predict(frame.image, frame.intrinsics, mount)
            for mount in (frame.mount, imu, fixed, None))
        points = points_of(frame.depth, frame.intrinsics, rng)
        yield _Moment(
            number / _RATE, frame.depth,
            {'true': true.depth, 'imu': by_imu.depth, 'fixed': by_fixed.depth, 'none': bare.depth,
             'disparity': disparity_of(frame.depth, rng)},
            lambda p, k=frame.intrinsics, m=imu, floor=bare.labels == ground_id: ground_samples(
                p, k, m, floor),
            lambda p, k=frame.intrinsics, found=points: point_samples(p, k, found))


def _drive(predictor: Predictor, args: argparse.Namespace, leg: int) -> list:
    try:
        from dense_perception.world.drive import Leg, drive
        from dense_perception.world.renderer import RenderError
    except ImportError as error:
        raise CommandError(f'the procedural world needs MuJoCo (pip install mujoco): {error}'
                           ) from None
    height, width = predictor.card.input_size
    try:
        return list(drive(args.seed, width, height, _RATE,
                          legs=[Leg(5000 + leg, None, args.seconds)],
                          sway=args.nod / _SWAY_DEGREES))
    except RenderError as error:
        raise CommandError(f'the procedural world cannot be rendered: {error}') from None

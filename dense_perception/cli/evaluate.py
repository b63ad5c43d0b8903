"""``dense-perception evaluate``: a bag through the perception node, held against its own truth."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import yaml

from dense_perception.cli.command import CommandError
from dense_perception.cli.evaluating.pictures import EvaluationSheet
from dense_perception.cli.evaluating.replay import Recording, Replay
from dense_perception.cli.evaluating.report import markdown
from dense_perception.cli.evaluating.scores import Scores
from dense_perception.cli.mosaic import choose_rows
from dense_perception.cli.observer import Sample
from dense_perception.cli.sheet import save
from dense_perception.cli.summary import timing
from dense_perception.geometry.mount import Mount, MountError
from dense_perception.inference.backends import BACKENDS
from dense_perception.inference.card import ModelCard
from dense_perception.inference.model_file import ModelFile, ModelFileError
from dense_perception.metrics import ObstacleGrid

_ROWS = 4
_KEPT_SAMPLES = 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument('--bag', required=True, help='rosbag2 bag with images and, to compare '
                        'with, depth, masks, CameraInfo, CameraMount: its folder, one .mcap or '
                        '.db3 file, or "demo" (the shipped clip)')
    parser.add_argument('--model', default='xnet_small',
                        help='shipped model or path of a model file (default: xnet_small)')
    parser.add_argument('--backend', default='auto', choices=('auto', *BACKENDS),
                        help='runtime of the model (default: auto)')
    parser.add_argument('--rate', type=float, default=0.0, metavar='HZ',
                        help='images per second (default: as recorded)')
    parser.add_argument('--param', action='append', default=[], metavar='NAME:=VALUE',
                        help='a parameter of the perception node, such as mount.height:=0.6; may '
                        'be given several times')
    parser.add_argument('--cell', type=float, default=ObstacleGrid.cell, metavar='METRES',
                        help='edge of an obstacle cell (default: %(default)s)')
    parser.add_argument('--reach', type=float, default=ObstacleGrid.reach, metavar='METRES',
                        help='how far obstacles are compared (default: %(default)s)')
    parser.add_argument('--out', type=Path, default=Path('out/evaluate'), metavar='FOLDER',
                        help='folder for report.md, report.json and sheet.png (default: '
                        'out/evaluate)')
    parser.add_argument('--json', action='store_true', help='print JSON instead of Markdown')


def run(args: argparse.Namespace) -> int:
    """Replay, compare, write and print; docs/tools.md says what each number is."""
    recording = Recording.open(args.bag)
    card = _card(args.model)
    parameters = dict(map(_parameter, args.param))
    mount = _mount(parameters)
    scores = Scores(card, _grid(args), 'info' in recording.topics, mount)
    _prepare(args.out)
    replay = Replay(recording, {'model': args.model, 'backend': args.backend, **parameters},
                    args.rate, args.out / 'logs')
    kept: list[Sample] = []
    step = max(1, recording.images // _KEPT_SAMPLES)
    for number, sample in enumerate(replay.samples()):
        scores.add(sample)
        if number >= step * len(kept) and _comparable(sample, recording):
            kept.append(sample)
    result = _result(recording, replay, scores, card, args)
    result['notes'] = [*missing(recording, card, mount), *_happened(result, replay)]
    if kept:
        title = f'{card.name} on {recording.path.name}'
        save(args.out / 'sheet.png',
             EvaluationSheet(card, scores).paint(choose_rows(kept, _ROWS), title))
    text = json.dumps(result, indent=2)
    _write(args.out / 'report.json', text)
    _write(args.out / 'report.md', markdown(result))
    print(text if args.json else markdown(result))
    return 0


def missing(recording: Recording, card: ModelCard, mount: Mount | None) -> list[str]:
    """What the recording lacks, and what could therefore not be measured."""
    has, notes = recording.topics, []
    if 'depth' not in has:
        notes.append('The bag has no depth images (16UC1, 32FC1 or compressedDepth): no accuracy '
                     'of depth and no obstacles.')
    elif 'info' not in has:
        notes.append('The bag has no CameraInfo, so a lens of 60 degrees was assumed: depth was '
                     'compared only after scaling, and no obstacles.')
    if 'labels' not in has:
        notes.append('The bag has no masks (mono8 on a topic that ends in "mask"): no accuracy '
                     'of masks.')
    if 'mount' not in has and mount is None:
        relative = ' Depth may be relative without it.' if card.takes_mount else ''
        notes.append("The bag has no CameraMount (a bag's TF is not read): no obstacles."
                     f'{relative} Give --param mount.height:=<metres>, mount.pitch, mount.roll.')
    if not {'depth', 'labels'} & has.keys():
        notes.append('Without depth and masks only rates and times were measured.')
    return notes


def _happened(result: dict[str, Any], replay: Replay) -> list[str]:
    """What went on that one must know to read the numbers."""
    frames, notes = result['frames'], []
    if frames['dropped']:
        notes.append(f'{frames["dropped"]} of {frames["received"]} images were dropped for newer '
                     'ones and are not in the accuracy; a lower --rate takes in all of them.')
    if any('rectify' in frame.stages_ms for frame in replay.frames):
        notes.append('The node rectified the images, but the truth is that of the distorted '
                     'ones: not compared. --param rectify:=never compares them as they are.')
    return notes + [f'The node said: {sentence}' for sentence in replay.warnings]


def _result(recording: Recording, replay: Replay, scores: Scores, card: ModelCard,
            args: argparse.Namespace) -> dict[str, Any]:
    times, grid = timing(replay.frames), _grid(args)
    return {
        'model': card.name, 'backend': times['backend'],
        'bag': {'path': str(recording.path), 'images': recording.images,
                'topics': dict(recording.topics)},
        'frames': {'sent': replay.sent, 'received': times['frames_in'],
                   'published': times['frames_out'], 'dropped': times['dropped'],
                   'compared': scores.frames},
        **{name: times[name] for name in ('fps', 'latency_ms', 'age_ms', 'inference_ms')},
        **scores.result(),
        'obstacle_grid': {'cell': grid.cell, 'reach': grid.reach, 'low': grid.low,
                          'high': grid.high, 'least_points': grid.least_points}}


def _comparable(sample: Sample, recording: Recording) -> bool:
    """Whether a sample is one for the sheet: with truth, if any frame has one."""
    return sample.true_depth is not None or sample.true_labels is not None \
        or sample.rectified or not {'depth', 'labels'} & recording.topics.keys()


def _parameter(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition(':=')
    if not name or not sign or not value:
        raise CommandError(f'--param "{text}" is not of the form NAME:=VALUE')
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError:
        raise CommandError(f'--param "{text}": the value is no YAML') from None


def _mount(parameters: dict[str, Any]) -> Mount | None:
    """The mount that the parameters give, as the node understands them."""
    try:
        height, pitch, roll = (float(parameters.get(f'mount.{name}', 0.0))
                               for name in ('height', 'pitch', 'roll'))
        return Mount.from_pitch_roll(pitch, roll, height) if height else None
    except (MountError, TypeError, ValueError) as error:
        raise CommandError(f'--param mount.*: {error}') from None


def _grid(args: argparse.Namespace) -> ObstacleGrid:
    try:
        return ObstacleGrid(args.cell, args.reach)
    except ValueError as error:
        raise CommandError(f'--cell, --reach: {error}') from None


def _card(model: str) -> ModelCard:
    try:
        return ModelFile.open(model).card
    except ModelFileError as error:
        raise CommandError(str(error)) from None


def _prepare(folder: Path) -> None:
    """Make the folder; an earlier report goes, so that nobody takes it for this one's."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ('report.md', 'report.json', 'sheet.png'):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise CommandError(f'cannot write to {folder}: {error.strerror}') from None


def _write(path: Path, text: str) -> None:
    unfinished = path.with_name(f'.{path.name}.part')
    unfinished.write_text(text + '\n')
    os.replace(unfinished, path)

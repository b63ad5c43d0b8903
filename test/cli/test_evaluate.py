"""The evaluate command on a real graph: numbers that are known, and what is said without truth."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from helpers.plane_bag import MOUNT, write_plane_bag
from helpers.plane_model import plane_card

from dense_perception.cli import evaluate
from dense_perception.cli.command import CommandError
from dense_perception.cli.evaluate import missing
from dense_perception.cli.evaluating.replay import Recording
from dense_perception.geometry.mount import Mount

EVALUATE = [sys.executable, '-m', 'dense_perception.cli.main', 'evaluate']


def run(*arguments: object) -> tuple[int, str, str]:
    done = subprocess.run([*EVALUATE, *map(str, arguments)], capture_output=True, text=True,
                          timeout=120)
    return done.returncode, done.stdout, done.stderr


def test_a_bag_is_replayed_and_compared(tmp_path: Path, plane_model: Path) -> None:
    """The model knows the ground, and not of the wall in the right quarter of the truth."""
    bag = write_plane_bag(tmp_path / 'bag', frames=12, period_s=0.1, wall=1.2)
    code, out, err = run('--bag', bag, '--model', plane_model, '--out', tmp_path / 'out')
    assert code == 0, err
    result = json.loads((tmp_path / 'out' / 'report.json').read_text())
    frames = result['frames']
    assert frames['sent'] == 12 >= frames['received'] > 0
    assert frames['published'] + frames['dropped'] == frames['received']
    assert 0 < frames['published'] - 2 <= frames['compared'] <= frames['published']
    # The truth has twice the resolution: next to the horizon that makes a difference.
    assert 0.7 < result['depth_metric']['d1'] < 0.95
    assert result['depth_aligned'].keys() == {'median'}
    assert result['segmentation']['miou'] > 0.99
    assert set(result['segmentation']['iou']) == {'ground', 'red'}
    obstacles = result['obstacles']
    assert obstacles['false_mark'] == 0 and obstacles['free_cells'] > 20 * frames['compared']
    assert obstacles['false_clear'] == 1 and obstacles['occupied_cells'] >= frames['compared']
    assert result['latency_ms']['p50'] > 0
    assert not [n for n in result['notes'] if 'dropped' not in n]
    assert out.strip() == (tmp_path / 'out' / 'report.md').read_text().strip()
    assert '| mIoU | ' in out and '| 100.0% of ' in out and 'None' not in out
    picture = cv2.imread(str(tmp_path / 'out' / 'sheet.png'))
    assert picture.shape[1] == 12 + 7 * 412 and picture.std() > 20


def test_a_recording_knows_what_it_has(tmp_path: Path) -> None:
    bag = write_plane_bag(tmp_path / 'bag', frames=3, without=('/camera_info', '/camera_mount'))
    recording = Recording.open(str(bag))
    assert recording.images == 3
    assert recording.topics == {'colour': '/image', 'depth': '/ground_truth/depth',
                                'labels': '/ground_truth/mask'}


@pytest.mark.parametrize(('topics', 'mount', 'notes'), [
    (('info', 'mount', 'depth', 'labels'), None, []),
    (('info', 'depth', 'labels'), None, ['no CameraMount']),
    (('info', 'depth', 'labels'), MOUNT, []),
    (('mount', 'depth', 'labels'), None, ['no CameraInfo']),
    (('info', 'mount', 'depth'), None, ['no masks']),
    (('info', 'mount'), None, ['no depth images', 'no masks', 'only rates and times'])])
def test_notes_name_what_is_missing(topics: tuple[str, ...], mount: Mount | None,
                                    notes: list[str]) -> None:
    said = missing(Recording(Path('bag'), 9, dict.fromkeys(topics, '/a')), plane_card(), mount)
    assert len(said) == len(notes)
    for sentence, words in zip(said, notes):
        assert words in sentence


def test_a_node_that_does_not_start_gives_the_reason(tmp_path: Path) -> None:
    code, _, err = run('--bag', 'demo', '--param', 'backend:=abacus', '--out', tmp_path)
    assert code == 1 and 'parameter backend is "abacus"' in err.strip().splitlines()[-1]
    assert not (tmp_path / 'report.json').exists()


@pytest.mark.parametrize(('arguments', 'sentence'), [
    (('--bag', 'nowhere'), 'there is no bag "nowhere"'),
    (('--bag', 'demo', '--param', 'mount.height'), 'not of the form NAME:=VALUE'),
    (('--bag', 'demo', '--param', 'mount.height:=-1'), 'camera height -1.0 m'),
    (('--bag', 'demo', '--cell', '9'), 'cells of 9.0 m'),
    (('--bag', 'demo', '--model', 'nothing'), 'nothing')])
def test_what_cannot_work_ends_in_one_sentence(tmp_path: Path, arguments: tuple[str, ...],
                                               sentence: str) -> None:
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    with pytest.raises(CommandError, match=re.escape(sentence)):
        evaluate.run(parser.parse_args([*arguments, '--out', str(tmp_path)]))

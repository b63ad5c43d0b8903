"""The demo command on a real graph: its files, its sentences, and that it leaves nobody behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.plane_bag import write_plane_bag
from helpers.plane_model import plane_graph, save_model, write_plane_model

DEMO = [sys.executable, '-m', 'dense_perception.cli.main', 'demo']


@pytest.fixture(scope='module')
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plane_model(tmp_path_factory.mktemp('model') / 'plane.onnx')


def start(*arguments: object) -> subprocess.Popen:
    return subprocess.Popen([*DEMO, *map(str, arguments)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def run(*arguments: object) -> tuple[int, str, str]:
    process = start(*arguments)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def processes_with(text: str) -> list[int]:
    """Processes that have ``text`` on their command line."""
    found = []
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            if text.encode() in (folder / 'cmdline').read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue  # it ended just now
    return found


def test_a_bag_with_truth_is_pictured_and_measured(tmp_path: Path, model: Path):
    bag = write_plane_bag(tmp_path / 'bag')
    code, out, err = run('--model', model, '--source', bag, '--duration', 2, '--out',
                         tmp_path / 'out')
    assert code == 0, err
    summary = json.loads((tmp_path / 'out' / 'summary.json').read_text())
    assert {key: set(value) if isinstance(value, dict) else None
            for key, value in summary.items()} == {
        'frames_in': None, 'frames_out': None, 'dropped': None, 'fps': None,
        'latency_ms': {'p50', 'p95', 'p99'}, 'inference_ms': {'p50', 'p95'},
        'overhead_ms': {'p50'}, 'age_ms': {'p95'}, 'backend': None, 'model': None,
        'depth': {'valid_share', 'abs_rel', 'd1'}, 'segmentation': {'miou'},
        'cloud': {'points', 'valid_share'}}
    assert 0 < summary['frames_out'] <= summary['frames_in']
    assert summary['model'] == 'plane' and summary['backend'] == 'onnxruntime-cpu'
    # The truth has twice the resolution: next to the horizon that makes a difference.
    assert summary['depth']['abs_rel'] < 0.06 and summary['depth']['d1'] > 0.95
    assert summary['segmentation']['miou'] > 0.99
    assert 0.8 < summary['cloud']['valid_share'] < 0.95
    assert 'against the truth' in out and 'mosaic.png' in out
    mosaic = cv2.imread(str(tmp_path / 'out' / 'mosaic.png'))
    assert mosaic.shape[1] > 1600 and mosaic.std() > 20
    assert len(list((tmp_path / 'out' / 'frames').glob('*_depth.png'))) >= 2
    assert not processes_with(str(bag))


def test_pictures_of_several_sizes_give_relative_depth(tmp_path: Path, model: Path):
    rng = np.random.default_rng(0)
    (tmp_path / 'pictures').mkdir()
    for number, size in enumerate(((90, 120), (200, 100), (64, 80))):
        picture = rng.integers(0, 256, (*size, 3), np.uint8)
        cv2.imwrite(str(tmp_path / 'pictures' / f'{number}.png'), picture)
    code, out, err = run('--model', model, '--source', tmp_path / 'pictures', '--duration', 2,
                         '--out', tmp_path / 'out')
    assert code == 0, err
    summary = json.loads((tmp_path / 'out' / 'summary.json').read_text())
    assert summary['depth'] == {'valid_share': 1.0, 'abs_rel': None, 'd1': None}
    assert summary['segmentation'] == {'miou': None}
    assert summary['cloud'] == {'points': None, 'valid_share': None}
    assert 'depth is relative' in out and "camera's mount is unknown" in out


def test_bad_sources_and_models_end_in_their_own_sentence(tmp_path: Path, model: Path):
    (tmp_path / 'empty').mkdir()
    bare = save_model(tmp_path / 'bare.onnx', plane_graph(64, 80), card=None)
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'summary.json').write_text('of an earlier run')
    for arguments, sentence in (
            (('--source', tmp_path / 'nowhere', '--model', model), 'there is no source'),
            (('--source', tmp_path / 'empty', '--model', model), 'has no picture'),
            (('--model', bare), 'has no model card'),
            (('--model', tmp_path / 'nothing.onnx'), 'no model file')):
        code, _, err = run('--out', out, *arguments)
        assert code == 1
        assert sentence in err and 'Traceback' not in err
        assert len(err.strip().splitlines()) == 1
    assert not (out / 'summary.json').exists()
    assert not processes_with(str(tmp_path))


@pytest.mark.parametrize(('number', 'code'), [
    (signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_stopped_demo_leaves_no_process_behind(tmp_path: Path, number: signal.Signals,
                                                 code: int):
    model = write_plane_model(tmp_path / 'plane.onnx')
    bag = write_plane_bag(tmp_path / 'bag', frames=3)
    demo = start('--model', model, '--source', bag, '--duration', 60, '--out', tmp_path / 'out')
    deadline = time.monotonic() + 60
    while not (tmp_path / 'out' / 'mosaic.png').exists():
        assert demo.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    assert len(processes_with(str(tmp_path))) == 3
    os.kill(demo.pid, number)
    _, err = demo.communicate(timeout=30)
    assert demo.returncode == code, err
    assert 'Traceback' not in err
    while processes_with(str(tmp_path)):
        assert time.monotonic() < deadline, 'the nodes outlived the demo'
        time.sleep(0.1)

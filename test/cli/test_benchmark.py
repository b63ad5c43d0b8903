"""The benchmarks run on real parts and measure what they say."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from helpers.code_model import write_code_model
from helpers.plane_bag import write_plane_bag
from helpers.plane_model import write_plane_model

from dense_perception.cli.benchmarks.cloud import plain_numpy
from dense_perception.cli.benchmarks.load import markdown as load_markdown
from dense_perception.cli.benchmarks.sensors import follow
from dense_perception.cli.main import main
from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.cloud import CloudBuilder
from dense_perception.geometry.mount import Mount
from dense_perception.inference.backends import BACKENDS


def benchmark(*arguments: object) -> dict:
    process = subprocess.run(
        [sys.executable, '-m', 'dense_perception.cli.main', 'benchmark', *map(str, arguments),
         '--json'], capture_output=True, text=True, timeout=120)
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


def test_the_rivals_of_the_cloud_build_the_same_cloud():
    rng = np.random.default_rng(0)
    camera = Intrinsics(50.0, 52.0, 31.0, 23.0, 64, 48)
    depth = rng.uniform(-1, 20, (48, 64)).astype(np.float32)
    rgb = rng.integers(0, 256, (48, 64, 3), np.uint8)
    labels = rng.integers(0, 8, (48, 64), np.uint8)
    ours = CloudBuilder().build(depth, camera, rgb, labels)
    theirs = plain_numpy(depth, camera, rgb, labels)
    assert ours.dtype == theirs.dtype
    for name in ours.dtype.names:
        np.testing.assert_array_equal(ours[name], theirs[name])


def test_cloud_model_and_rectification_benchmarks_report_every_rival(tmp_path: Path):
    cloud = benchmark('cloud', '--rounds', 1, '--width', 64, '--height', 48, '--frames', 0)
    assert {'dense_perception', 'plain NumPy', 'copy of the bytes'} <= set(cloud['results'])
    assert cloud['bytes'] == 64 * 48 * 20 and 'cores' in cloud['hardware']
    assert {'all clouds', 'publish xyzrgb+label'} <= set(cloud['steps'])
    assert 'quality' not in cloud
    model = benchmark('model', '--rounds', 1, '--model', write_plane_model(tmp_path / 'p.onnx'))
    assert model['model'] == 'plane' and len(model['results']) + len(model['skipped']) == 10 + 7
    assert 'spin_us 200' in model['results']
    assert all(row['cpu_ms'] > 0 for row in model['results'].values())
    lens = benchmark('rectification', '--rounds', 1, '--size', '64x48', '--network-size', '32x24')
    assert {'dense_perception', 'cv2.undistort of every frame, then resize'} <= set(
        lens['results'])
    assert all(r['p50_ms'] > 0 for result in (cloud, model, lens)
               for r in result['results'].values())


def test_scale_benchmark_compares_sources_of_metres():
    pytest.importorskip('mujoco', reason='the procedural world needs mujoco')
    from dense_perception.world.renderer import Renderer, RenderError
    try:
        Renderer(32, 32).close()
    except RenderError as error:
        pytest.skip(str(error))
    result = benchmark('scale', '--legs', 1, '--seconds', 1.4, '--nod', 8)
    rows = result['results']
    assert result['frames'] == 13 and len(rows) == 8
    assert rows['IMU']['abs_rel'] < rows['fixed pitch and roll']['abs_rel']
    points = rows['true disparity +- 5 %, to 300 points']
    assert points['abs_rel'] < 0.06 and points['scale'] == pytest.approx(1, abs=0.05)


def test_simulated_imu_is_followed_within_two_degrees():
    pitches = 0.2 + 0.1 * np.sin(4.1 * np.arange(150) / 15)
    mounts = [Mount.from_pitch_roll(pitch, 0.02, 0.8) for pitch in pitches]
    found = follow(mounts, 15.0, np.random.default_rng(0))
    assert found[:7] == [None] * 7 and None not in found[9:]
    angles = [np.degrees(np.arccos(min(1, np.dot(a.down, b.down))))
              for a, b in zip(found[9:], mounts[9:])]
    assert max(angles) < 3 and np.mean(angles) < 1.5


@pytest.mark.parametrize(('rivals', 'where', 'inputs'), [
    (['xnet_small', 'depth_anything_v2_small'], ('--image-size', '64x48'), ['288x224', '686x518']),
    (['xnet_small'], ('--size', '64x96', '--runtime', 'onnxruntime'), ['96x64'])])
def test_networks_run_side_by_side(rivals: list[str], where: tuple[str, ...], inputs: list[str],
                                   capsys: pytest.CaptureFixture[str]):
    pytest.importorskip('torch', reason='variants need torch')
    assert main(['benchmark', 'models', '--models', ','.join(rivals), '--rounds', '1',
                 '--threads', '1', '--device', 'cpu', '--json', *where]) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result['results']) == rivals and 'cores' in result['hardware']
    assert [found['input'] for found in result['results'].values()] == inputs
    first = result['results']['xnet_small']
    assert first['time_ratio'] == 1 and first['params'] == 4_472_985
    for found in result['results'].values():
        assert found['time_ratio'] == pytest.approx(found['p50_ms'] / first['p50_ms'])
        assert found['gmacs'] >= first['gmacs'] > 0 and found['cpu_ms'] > 0
        assert found['mac_ratio'] == pytest.approx(found['gmacs'] / first['gmacs'])


@pytest.mark.parametrize(('arguments', 'reason'), [
    (('--models', 'xnet_smal'), 'did you mean'),
    (('--models', 'xnet_small,depth_anything_v2_small', '--size', '200x460'), 'take 224x448'),
    (('--image-size', '640'), 'not a size'),
    (('--runtime', 'onnxruntime', '--device', 'cuda'), 'computes on the CPU')])
def test_rivals_that_cannot_run_together_are_refused(
        arguments: tuple[str, ...], reason: str, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip('torch', reason='variants need torch')
    assert main(['benchmark', 'models', '--models', 'xnet_small', *arguments]) == 1
    assert reason in capsys.readouterr().err


def test_a_network_is_measured_against_matrix_products():
    pytest.importorskip('torch', reason='variants need torch')
    result = benchmark('ceiling', '--model', 'xnet_small', '--size', '64x96', '--device', 'cpu',
                       '--threads', 1, '--precisions', 'fp32', 'bf16', '--rounds', 2)
    assert (result['size'], result['reference']) == ('64x96', 'fp32 eager')
    assert list(result['results']) == ['fp32 eager', 'bf16 eager']
    for found in result['results'].values():
        flops = 2e9 * result['gmacs'] / (1e-3 * found['p50_ms'])
        assert found['share'] == pytest.approx(flops / (1e12 * found['ceiling_tflops']))
        assert found['share'] > 0


@pytest.mark.parametrize(('arguments', 'reason'), [
    (('--ways', 'graphed', '--device', 'cpu'), 'needs a GPU'),
    (('--model', 'xnet_smal', '--device', 'cpu'), 'did you mean'),
    (('--size', '64', '--device', 'cpu'), 'not a size'),
    (('--size', '100x100', '--device', 'cpu'), 'not a multiple of 32')])
def test_what_cannot_be_measured_in_torch_is_refused(
        arguments: tuple[str, ...], reason: str, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip('torch', reason='variants need torch')
    assert main(['benchmark', 'ceiling', *arguments]) == 1
    assert reason in capsys.readouterr().err


def test_engine_benchmark_has_a_row_for_every_backend(tmp_path: Path):
    result = benchmark('engine', '--model', write_code_model(tmp_path / 'code.onnx', 'affine'))
    rows = result['results']
    assert set(rows) == {f'{name} {precision}' for name in BACKENDS for precision in (
        ('fp32', 'fp16') if name.startswith('tensorrt') else ('fp32',))}
    assert all('skipped' in row or row['load_s'] > 0 for row in rows.values())
    assert rows['onnxruntime-cpu fp32']['mb'] > 0
    if find_spec('tensorrt_rtx') is not None:
        assert rows['tensorrt_rtx fp16']['build_s'] > 0 and rows['tensorrt_rtx fp16']['mb'] > 0


def test_startup_benchmark_times_real_starts(tmp_path: Path):
    result = benchmark('startup', '--rounds', 2, '--model', write_plane_model(
        tmp_path / 'plane.onnx'), '--source', write_plane_bag(tmp_path / 'bag'))
    assert 0 < result['first_frame_s']['min'] <= result['first_frame_s']['max'] < 60
    assert result['cpu_s'] > 0.1 and result['starts'] == 2
    assert result['backend'] == 'onnxruntime-cpu'


def test_pipeline_benchmark_measures_a_real_graph(tmp_path: Path):
    result = benchmark(
        'pipeline', '--model', write_plane_model(tmp_path / 'plane.onnx'), '--source',
        write_plane_bag(tmp_path / 'bag'), '--rate', 50, '--duration', 2, '--size', '320x240',
        '--backend', 'onnxruntime-cpu', '--threads', 1)
    assert result['backend'] == 'onnxruntime-cpu' and 0 < result['cpu_ms_per_frame'] < 1000
    assert result['frames_out'] > 10 and result['fps'] > 5
    assert set(result['arrival_ms']) == {'depth/image_rect', 'segmentation/mask', 'depth/points'}
    assert result['cpu_percent'] > result['idle_cpu_percent'] >= 0 and result['rss_mb'] > 20
    assert result['source_cpu_percent'] > 0 and result['listener_cpu_percent'] > 0
    assert set(result['stages_ms']) >= {'inference', 'publish'}


def test_load_benchmark_offers_multiples_of_what_the_graph_can_bear(tmp_path: Path):
    result = benchmark(
        'load', '--model', write_plane_model(tmp_path / 'plane.onnx'), '--source',
        write_plane_bag(tmp_path / 'bag'), '--rate', 40, '--duration', 1, '--size', '320x240',
        '--factors', 0.5, 2, '--outputs', 'mask', '--plot', tmp_path / 'load.png')
    assert [load['load'] for load in result['loads']] == [0.5, 2]
    for load in result['loads']:
        assert load['source_rate_hz'] == round(load['load'] * result['capacity_fps'], 1)
        assert load['frames_out'] + load['dropped'] <= load['frames_in'] + 2
        assert set(load['arrival_ms']) == {'segmentation/mask'}
    assert (tmp_path / 'load.png').read_bytes()[:4] == b'\x89PNG'
    lines = load_markdown(result).splitlines()
    assert lines[-1].startswith('| 2x |') and len(lines) == 6
    assert main(['benchmark', 'load', '--factors', '0']) == 1


def test_cameras_in_one_process_and_in_one_for_each(tmp_path: Path):
    result = benchmark('cameras', '--counts', 2, '--duration', 1,
                       '--model', write_plane_model(tmp_path / 'plane.onnx'))
    assert [row['processes'] for row in result['rows']] == [1, 2]
    assert all(row['fps'] > 0 and row['rss_mb'] > 0 for row in result['rows'])

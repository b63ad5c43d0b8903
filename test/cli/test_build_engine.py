"""build-engine: ahead of time for real, for this machine on the stand-in."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.code_model import write_code_model
from helpers.pictures import write_pictures
from helpers.plane_model import plane_graph, save_model
from helpers.stand_in_cuda import stand_in_machine
from onnx import numpy_helper

from dense_perception.cli.main import main
from dense_perception.inference.backends import gpu, tensorrt
from dense_perception.inference.predictor import Predictor


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    return stand_in_machine(monkeypatch, tmp_path / 'cache')


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / 'samples', 6)


def test_an_engine_is_built_compared_and_used(machine, plane_model: Path, samples: Path,
                                              tmp_path: Path, capsys: pytest.CaptureFixture):
    report, out = tmp_path / 'report', tmp_path / 'copy.engine'
    assert main(['build-engine', str(plane_model), '--samples', str(samples), '--count', '4',
                 '--report', str(report), '--out', str(out)]) == 0
    assert 'for Orin' in capsys.readouterr().out
    result = json.loads(report.with_suffix('.json').read_text())
    assert result['figures']['images'] == 4 and result['refused'] is None
    assert 'Within the limits.' in report.with_suffix('.md').read_text()
    assert out.read_bytes() == plane_model.read_bytes()
    predictor = Predictor(plane_model, 'tensorrt', precision='fp16')
    assert predictor.backend == 'tensorrt fp16'  # at once: it was compared here


def test_an_engine_that_is_too_far_off_is_refused(machine, plane_model: Path, samples: Path,
                                                  tmp_path: Path, capsys: pytest.CaptureFixture):
    graph = plane_graph(64, 80)
    threshold = next(t for t in graph.initializer if t.name == 'red_threshold')
    threshold.CopyFrom(numpy_helper.from_array(np.float32(40), 'red_threshold'))
    other = save_model(tmp_path / 'other.onnx', graph, None)
    machine.build = lambda path, progress: other.read_bytes()
    command = ['build-engine', str(plane_model), '--samples', str(samples), '--report',
               str(tmp_path / 'report')]
    assert main(command) == 1
    assert 'refused: too far from fp32 on 6 images: labels_differ' in capsys.readouterr().err
    assert 'Refused: too far' in (tmp_path / 'report.md').read_text()
    assert not list((tmp_path / 'cache').rglob('*.engine'))
    assert main([*command, '--max-labels-differ', '1']) == 0


def test_ahead_of_time_and_taken_over_on_the_robot(machine, plane_model: Path, samples: Path,
                                                   tmp_path: Path,
                                                   capsys: pytest.CaptureFixture):
    out = tmp_path / 'p.engine'
    common = [str(plane_model), '--backend', 'tensorrt_rtx', '--samples', str(samples)]
    assert main(['build-engine', *common, '--target', 'SM89', '--out', str(out)]) == 0
    assert 'not compared with fp32: on the robot' in capsys.readouterr().out
    assert main(['build-engine', *common, '--from', str(out)]) == 0
    assert Predictor(plane_model, 'tensorrt_rtx', precision='fp16').backend == 'tensorrt_rtx fp16'
    assert main(['build-engine', *common, '--from', str(out), '--precision', 'bf16']) == 1
    assert 'was built with precision fp16, here it is bf16' in capsys.readouterr().err
    out.write_bytes(out.read_bytes()[:-1])
    assert main(['build-engine', *common, '--from', str(out)]) == 1
    assert 'is damaged or cut off: copy it again' in capsys.readouterr().err


def test_tensorrt_for_rtx_builds_without_a_gpu(tmp_path: Path):
    pytest.importorskip('tensorrt_rtx', reason='TensorRT for RTX is not installed')
    out = tmp_path / 'p.engine'
    model = write_code_model(tmp_path / 'code.onnx', 'affine')
    assert main(['build-engine', str(model), '--backend', 'tensorrt_rtx', '--target', 'SM86',
                 '--target', 'SM120', '--out', str(out)]) == 0
    about = json.loads((tmp_path / 'p.json').read_text())
    assert about['targets'] == ['SM86', 'SM120'] and out.stat().st_size > 1000
    assert {f.name for f in tmp_path.glob('p.*')} == {'p.engine', 'p.json'}


@pytest.mark.parametrize(('arguments', 'said'), [
    (['--target', 'SM86'], '--target needs --out'),
    (['--count', '0', '--backend', 'openvino', '--precision', 'fp32'], '--count 0'),
    (['--samples', '/nowhere', '--backend', 'openvino', '--precision', 'fp32'], 'no source'),
    (['--out', 'p.json'], 'p.json is the name of what is written beside'),
    (['--from', '/nowhere'], 'are not what build-engine wrote')])
def test_what_cannot_be_is_one_sentence(machine, plane_model: Path, arguments: list[str],
                                        said: str, capsys: pytest.CaptureFixture):
    if 'openvino' in arguments:
        pytest.importorskip('openvino', reason='openvino is not installed')
    assert main(['build-engine', str(plane_model), *arguments]) == 1
    error = capsys.readouterr().err
    assert said in error and error.count('\n') == 1


def test_without_a_gpu_it_says_so(plane_model: Path, capsys: pytest.CaptureFixture,
                                  monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tensorrt, 'installed', lambda name: None)
    monkeypatch.setattr(gpu, '_DRIVER', 'libnowhere.so.1')
    assert main(['build-engine', str(plane_model)]) == 1
    assert 'no NVIDIA GPU: the driver is not installed' in capsys.readouterr().err

"""quantise: an int8 model file from real calibration, refused where it is too far off."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from helpers.pictures import write_pictures
from onnx import numpy_helper

from dense_perception.cli.main import main
from dense_perception.inference.backends import BackendError
from dense_perception.inference.model_file import ModelFile
from dense_perception.inference.predictor import Predictor

pytest.importorskip('onnxruntime.quantization', reason='needs onnxruntime with quantization')


@pytest.fixture(scope='module')
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp('samples') / 'pictures', 4)


@pytest.fixture(scope='module')
def quantised(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Path:
    out = tmp_path_factory.mktemp('int8') / 'small.onnx'
    assert main(['quantise', 'xnet_small', '--out', str(out), '--samples', str(samples),
                 '--count', '2', '--max-abs-rel', '1', '--max-labels-differ', '1',
                 '--max-unknown-differ', '1', '--report', str(out.with_name('report'))]) == 0
    return out


def test_weights_are_int8_and_everything_is_symmetric(quantised: Path):
    proto = onnx.load(quantised)
    values = {t.name: t for t in proto.graph.initializer}
    quantisers = [n for n in proto.graph.node
                  if n.op_type in ('QuantizeLinear', 'DequantizeLinear')]
    assert len(quantisers) > 100
    for node in quantisers:
        zero = numpy_helper.to_array(values[node.input[2]])
        assert zero.dtype == np.int8 and not zero.any()
    assert quantised.stat().st_size < 0.6 * Path(Predictor('xnet_small').model.path).stat().st_size


def test_the_card_names_the_file_and_the_figures(quantised: Path):
    card = Predictor(quantised).card
    figures = json.loads(quantised.with_name('report.json').read_text())['figures']
    assert card.name == 'small' and card.metrics['int8_against_fp32'] == figures
    assert figures['images'] == 2 and 0 < figures['abs_rel'] < 0.5


def test_the_file_says_that_it_is_quantised(quantised: Path):
    assert ModelFile.open(quantised).quantised and not ModelFile.open('xnet_small').quantised


def test_openvino_computes_it_in_int8_and_is_no_further_off(quantised: Path, samples: Path):
    openvino = pytest.importorskip('openvino', reason='openvino is not installed')
    try:
        small = {name: Predictor(quantised, name) for name in ('onnxruntime-cpu', 'openvino')}
    except BackendError as error:
        if 'lacks VNNI' not in str(error):
            raise
        pytest.skip(f'openvino: {error}')
    images = [cv2.imread(str(path)) for path in sorted(samples.iterdir())]
    whole = Predictor('xnet_small', 'onnxruntime-cpu')
    errors = {}
    for backend, predictor in small.items():
        pairs = [(whole.predict(image), predictor.predict(image)) for image in images]
        errors[backend] = np.array([
            np.mean([np.nanmean(np.abs(b.depth / a.depth - 1)) for a, b in pairs]),
            np.mean([(a.labels != b.labels).mean() for a, b in pairs])])
    assert (errors['openvino'] < 1.2 * errors['onnxruntime-cpu'] + 0.002).all(), errors
    layers = openvino.Core().compile_model(str(quantised), 'CPU').get_runtime_model().get_ops()
    kinds = [layer.get_rt_info()['runtimePrecision'].value for layer in layers
             if layer.get_rt_info()['layerType'].value in ('Convolution', 'GroupConvolution')]
    assert sum(kind in ('i8', 'u8') for kind in kinds) > len(kinds) / 2, kinds


def test_tensorrt_builds_it(quantised: Path):
    from helpers.tensorrt_rtx import build_engine
    assert len(build_engine(quantised)) > 1_000_000


def test_beyond_the_limits_nothing_is_written(tmp_path: Path, samples: Path,
                                              capsys: pytest.CaptureFixture):
    out = tmp_path / 'small.onnx'
    assert main(['quantise', 'xnet_small', '--out', str(out), '--samples', str(samples),
                 '--count', '1', '--max-abs-rel', '1e-9']) == 1
    assert 'is not written: too far from fp32 on 1 images: abs_rel' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(('arguments', 'said'), [
    (['xnet_small', '--out', 'x.bin'], 'does not end in .onnx'),
    (['nowhere', '--out', 'x.onnx'], 'no model file "nowhere"')])
def test_what_cannot_be_is_one_sentence(arguments: list[str], said: str, samples: Path,
                                        tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                        capsys: pytest.CaptureFixture):
    monkeypatch.chdir(tmp_path)
    assert main(['quantise', *arguments, '--samples', str(samples)]) == 1
    assert said in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def test_a_quantised_file_is_not_quantised_again(quantised: Path, samples: Path, tmp_path: Path,
                                                 capsys: pytest.CaptureFixture):
    assert main(['quantise', str(quantised), '--out', str(tmp_path / 'x.onnx'), '--samples',
                 str(samples)]) == 1
    assert 'is quantised already' in capsys.readouterr().err

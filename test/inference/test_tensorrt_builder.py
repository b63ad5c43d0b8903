"""Engines are built for real with TensorRT for RTX, which needs no GPU; older ones recorded."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.plane_model import plane_card, save_model
from onnx import TensorProto, helper, numpy_helper

from dense_perception.inference.backends import BackendError, tensorrt_builder
from dense_perception.inference.backends.tensorrt_builder import BuildOptions, build_engine
from dense_perception.inference.model_file import ModelFile


@pytest.fixture(scope='module')
def rtx():
    return pytest.importorskip('tensorrt_rtx', reason='TensorRT for RTX is not installed')


def write_conv_model(path: Path, operator: str = 'Relu') -> Path:
    """A model file with a convolution that has a bias, then ``operator``."""
    rng = np.random.default_rng(0)
    constants = [numpy_helper.from_array(v, n) for n, v in {
        'kernel': rng.normal(0, 0.1, (256, 3, 3, 3)).astype(np.float32),
        'bias': np.ones(256, np.float32), 'axes': np.array([1], np.int64),
        'up': rng.normal(0, 0.1, (256, 16, 1, 1)).astype(np.float32),
        'more': rng.normal(0, 0.1, (256, 256, 1, 1)).astype(np.float32)}.items()]
    nodes = [helper.make_node('Cast', ['image'], ['values'], to=TensorProto.FLOAT),
             helper.make_node('Transpose', ['values'], ['chw'], perm=[0, 3, 1, 2]),
             helper.make_node('Conv', ['chw', 'kernel', 'bias'], ['c'], pads=[1] * 4),
             helper.make_node(operator, ['c'], ['r'], name='after',
                              domain='' if operator == 'Relu' else 'com.example'),
             helper.make_node('Conv', ['r', 'more'], ['d']),
             helper.make_node('ConvTranspose', ['d', 'up'], ['e'], strides=[1, 1]),
             helper.make_node('ReduceMean', ['e'], ['depth'], axes=[1], keepdims=0)]
    size = [1, 16, 16]
    graph = helper.make_graph(
        nodes, 'conv', [helper.make_tensor_value_info('image', TensorProto.UINT8, [*size, 3])],
        [helper.make_tensor_value_info('depth', TensorProto.FLOAT, size)], constants)
    card = plane_card(16, 16, tasks=('depth',), outputs=('depth',), mount='none', classes=(),
                      depth_convention='affine')
    if operator == 'Relu':
        return save_model(path, graph, card.to_json())
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17),
                                                    helper.make_opsetid('com.example', 1)])
    path.write_bytes(model.SerializeToString())
    return path


def test_precisions_and_targets_make_other_engines(rtx, tmp_path: Path):
    path = write_conv_model(tmp_path / 'm.onnx')
    shares: list[float] = []
    engines = {precision: build_engine(rtx, path, BuildOptions(precision, ('SM86',)),
                                       lambda share: shares.append(share) or True)
               for precision in ('fp32', 'fp16', 'bf16')}
    # 4 and 2 bytes for each of 72448 weights, and of 4096 more that bf16 leaves.
    assert len(engines['fp32']) - len(engines['fp16']) > 120_000
    assert len(engines['fp32']) - len(engines['bf16']) > 120_000
    assert max(shares) == 1.0 and min(shares) < 0.2
    two = build_engine(rtx, path, BuildOptions('fp32', ('SM86', 'SM120')))
    assert len(two) > 0


def test_a_target_that_is_none_names_those_there_are(rtx, tmp_path: Path):
    path = write_conv_model(tmp_path / 'm.onnx')
    with pytest.raises(BackendError, match='does not build for "SM999"; choose from .*SM120'):
        build_engine(rtx, path, BuildOptions(targets=('SM999',)))


def test_an_operator_that_is_not_supported_is_named_with_its_layer(rtx, tmp_path: Path):
    path = write_conv_model(tmp_path / 'm.onnx', 'Frobnicate')
    with pytest.raises(BackendError, match='does not support m.onnx: '
                       'operator Frobnicate in layer after'):
        build_engine(rtx, path, BuildOptions())


def test_a_build_can_be_given_up(rtx, tmp_path: Path):
    with pytest.raises(BackendError, match='the build was given up'):
        build_engine(rtx, write_conv_model(tmp_path / 'm.onnx'), BuildOptions(),
                     lambda share: False)


def test_a_file_that_is_no_model_is_refused(rtx, tmp_path: Path):
    (tmp_path / 'm.onnx').write_bytes(b'no model')
    with pytest.raises(BackendError, match='does not support m.onnx'):
        build_engine(rtx, tmp_path / 'm.onnx', BuildOptions())


class Recorder(SimpleNamespace):
    """Takes any attribute that is set, and notes the calls of methods it does not have."""

    def __getattr__(self, name: str):
        if name.startswith('__') or name in self.__dict__.get('lacks', ()):
            raise AttributeError(name)
        return lambda *arguments: self.calls.append((name, *arguments))


def old_tensorrt(kinds: list[str], built: bytes | None = b'engine') -> SimpleNamespace:
    """A weakly typed TensorRT 8.6, as far as the builder uses it; ``layers`` are recorded."""
    layers = [Recorder(type=f'LayerType.{kind}', calls=[],
                       get_output=lambda i: SimpleNamespace(dtype='float32')) for kind in kinds]
    config = Recorder(calls=[])
    network = SimpleNamespace(num_layers=len(layers), get_layer=lambda i: layers[i], num_inputs=0)
    builder = Recorder(calls=[], create_builder_config=lambda: config,
                       build_serialized_network=lambda network, config: built)
    builder.create_network = lambda flags: builder.calls.append(('network', flags)) or network
    flags = SimpleNamespace(TF32='TF32', FP16='FP16', INT8='INT8',
                            PREFER_PRECISION_CONSTRAINTS='PREFER')
    return SimpleNamespace(
        __name__='tensorrt', __version__='8.6.1', float32='float32', float16='float16',
        ILogger=type('ILogger', (), {'ERROR': 1, 'INTERNAL_ERROR': 0}),
        Builder=lambda log: builder, BuilderFlag=flags,
        NetworkDefinitionCreationFlag=SimpleNamespace(EXPLICIT_BATCH=0),
        OnnxParser=lambda network, log: SimpleNamespace(parse_from_file=lambda path: True),
        layers=layers, config=config, builder=builder)


def test_old_versions_get_flags_and_layers_that_are_held_back(tmp_path: Path):
    trt = old_tensorrt(['CONVOLUTION', 'NORMALIZATION', 'REDUCE'])
    assert build_engine(trt, tmp_path / 'm.onnx', BuildOptions('fp16')) == b'engine'
    assert trt.builder.calls == [('network', 1)]
    assert trt.config.calls == [('set_flag', 'FP16'), ('set_flag', 'PREFER')]
    assert [vars(layer).get('precision') for layer in trt.layers] == [None, 'float32', 'float32']


def test_old_versions_run_quantised_files_in_int8_and_fp32_without_tf32(tmp_path: Path):
    trt = old_tensorrt(['QUANTIZE', 'CONVOLUTION'])
    build_engine(trt, tmp_path / 'm.onnx', BuildOptions())
    assert trt.config.calls == [('clear_flag', 'TF32'), ('set_flag', 'INT8')]


@pytest.mark.parametrize(('options', 'said'), [
    (BuildOptions('bf16'), 'TensorRT 8.6.1 cannot compute in bf16'),
    (BuildOptions(targets=('SM86',)), 'builds for the GPU of this machine only')])
def test_what_an_old_version_cannot_do_is_said(tmp_path: Path, options: BuildOptions, said: str):
    with pytest.raises(BackendError, match=said):
        build_engine(old_tensorrt(['CONVOLUTION']), tmp_path / 'm.onnx', options)


@pytest.mark.parametrize(('message', 'said'), [
    ('', 'cannot build m.onnx: it gives no reason'),
    ('[virtualMemoryBuffer] OutOfMemory', 'the GPU is out of memory .*OutOfMemory')])
def test_a_build_without_an_engine_has_the_log_s_reason(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str, said: str):
    trt = old_tensorrt(['CONVOLUTION'], built=None)
    make_log = tensorrt_builder.make_log

    def talking(trt):
        log = make_log(trt)
        if message:
            log.log(1, message)
        log.log(3, 'only a note')
        return log
    monkeypatch.setattr(tensorrt_builder, 'make_log', talking)
    with pytest.raises(BackendError, match=said):
        build_engine(trt, tmp_path / 'm.onnx', BuildOptions())


def test_a_builder_that_cannot_start_is_said(tmp_path: Path):
    trt = old_tensorrt([])

    def no_gpu(log):
        raise TypeError('pybind11::init(): factory function returned nullptr')
    trt.Builder = no_gpu
    with pytest.raises(BackendError, match='TensorRT 8.6.1 cannot start'):
        build_engine(trt, tmp_path / 'm.onnx', BuildOptions())


def test_a_file_of_any_batch_builds_for_as_many_images_as_are_asked_for(rtx):
    shipped = ModelFile.open('xnet_small').path
    assert len(build_engine(rtx, shipped, BuildOptions(batch=4, targets=('SM89',)))) > 1000


def test_the_profile_goes_from_one_image_to_the_batch():
    shapes: list[tuple] = []
    builder = SimpleNamespace(create_optimization_profile=lambda: SimpleNamespace(
        set_shape=lambda *shape: shapes.append(shape)))
    config = Recorder(calls=[])
    tensors = [SimpleNamespace(name='image', shape=(-1, 64, 80, 3)),
               SimpleNamespace(name='camera_height', shape=(-1,))]
    network = SimpleNamespace(num_inputs=2, get_input=lambda i: tensors[i])
    tensorrt_builder._set_profile(builder, network, config, 4)
    assert shapes == [('image', (1, 64, 80, 3), (4, 64, 80, 3), (4, 64, 80, 3)),
                      ('camera_height', (1,), (4,), (4,))]
    assert [name for name, *_ in config.calls] == ['add_optimization_profile']
    config.calls.clear()
    tensors[:] = [SimpleNamespace(name='image', shape=(1, 64, 80, 3))] * 2
    tensorrt_builder._set_profile(builder, network, config, 4)
    assert config.calls == []

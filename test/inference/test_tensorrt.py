"""The TensorRT backend on a stand-in for GPU and runtime; no engine ever ran on a GPU here."""

from __future__ import annotations

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.plane_model import plane_card, plane_graph, save_model, write_plane_model
from helpers.stand_in_cuda import StandInCuda, stand_in_machine, stand_in_tensorrt
from onnx import numpy_helper

from dense_perception.inference.backends import (
    BackendError,
    BackendOptions,
    Ladder,
    cuda,
    gpu,
    ladder,
    tensorrt,
)
from dense_perception.inference.model_file import ModelFile
from dense_perception.inference.predictor import Predictor

IMAGE = np.random.default_rng(3).integers(0, 256, (64, 80, 3), np.uint8)
DARK = np.zeros_like(IMAGE)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    return stand_in_machine(monkeypatch, tmp_path / 'cache')


def on_engine(model: Path, **options) -> Predictor:
    """A predictor after the build, if there is one to wait for."""
    said: list[str] = []
    predictor = Predictor(model, 'tensorrt', say=said.append, **options)
    for thread in threading.enumerate():
        if thread.name == 'engine build':
            thread.join(30)
    predictor.said = said
    for _ in range(8):
        predictor.predict(DARK)
    return predictor


def test_it_serves_from_the_cpu_until_the_engine_is_built(machine, plane_model: Path):
    go = threading.Event()

    def slow(path: Path, progress) -> bytes:
        assert progress(0.5)
        go.wait(30)
        return Path(path).read_bytes()
    machine.build = slow
    said: list[str] = []
    predictor = Predictor(plane_model, 'tensorrt', say=said.append)
    before = predictor.predict(IMAGE)
    assert predictor.backend == 'onnxruntime-cpu'
    assert 'no engine was built yet' in predictor.skipped['tensorrt']
    while '50%' not in predictor.backend_state:
        pass
    go.set()
    for thread in threading.enumerate():
        if thread.name == 'engine build':
            thread.join(30)
    for _ in range(8):
        assert predictor.backend == 'onnxruntime-cpu'
        after = predictor.predict(IMAGE)
    assert predictor.backend == 'tensorrt' and predictor.backend_state == ''
    after = predictor.predict(IMAGE)
    assert 'tensorrt' not in predictor.skipped
    assert any('now on tensorrt instead of onnxruntime-cpu' in line for line in said)
    np.testing.assert_array_equal(before.depth, after.depth)
    np.testing.assert_array_equal(before.labels, after.labels)


def test_an_engine_that_is_too_far_off_is_left_with_figures(machine, plane_model: Path,
                                                            tmp_path: Path):
    graph = plane_graph(64, 80)
    threshold = next(t for t in graph.initializer if t.name == 'red_threshold')
    threshold.CopyFrom(numpy_helper.from_array(np.float32(64), 'red_threshold'))
    other = save_model(tmp_path / 'm.onnx', graph, None)
    machine.build = lambda path, progress: other.read_bytes()
    predictor = Predictor(plane_model, 'tensorrt')
    for thread in threading.enumerate():
        if thread.name == 'engine build':
            thread.join(30)
    for _ in range(9):
        predictor.predict(IMAGE)
    assert predictor.backend == 'onnxruntime-cpu'
    assert re.search(r'too far from fp32 on 8 images: labels_differ 0.2\d+ \(at most 0.02\)',
                     predictor.skipped['tensorrt'])
    with pytest.raises(BackendError, match='its engine was refused: too far from fp32.*delete /'):
        Predictor(plane_model, 'tensorrt')
    assert machine.builds == 1


def test_the_next_start_finds_the_engine(machine, plane_model: Path):
    on_engine(plane_model)
    predictor = Predictor(plane_model, 'tensorrt')
    assert predictor.backend == 'tensorrt' and machine.builds == 1
    assert Predictor(plane_model).backend == 'tensorrt'  # auto


@pytest.mark.parametrize(('change', 'said'), [
    (lambda m: setattr(m.trt, '__version__', '10.7.0'), "was '10.3.0' and is '10.7.0'"),
    (lambda m: setattr(m, 'gpu', gpu.Gpu('Thor', (11, 0), (13, 0))), 'GPU was'),
    (lambda m: next(m.folder.glob('*.engine')).write_bytes(b'x'), 'is damaged')])
def test_an_engine_of_another_time_is_built_again(machine, plane_model: Path, change, said: str):
    on_engine(plane_model)
    change(machine)
    predictor = on_engine(plane_model)
    assert predictor.backend == 'tensorrt' and machine.builds == 2
    assert any(said in line for line in predictor.said)


def test_an_engine_that_was_never_compared_is_compared_first(machine, plane_model: Path):
    first = Predictor(plane_model, 'tensorrt')
    for thread in threading.enumerate():
        if thread.name == 'engine build':
            thread.join(30)
    first.predict(IMAGE)  # of eight
    second = on_engine(plane_model)
    assert second.backend == 'tensorrt' and machine.builds == 1
    assert any('not compared with fp32 yet' in line for line in second.said)


def test_an_engine_that_tensorrt_refuses_is_built_again(machine, plane_model: Path):
    model = tensorrt.ModelFile.open(plane_model)
    key = tensorrt.engine_key(machine.trt, model, machine.gpu, 'fp32')
    tensorrt.EngineCache(key, 'plane').store(b'of another version', {})
    predictor = on_engine(plane_model)
    assert predictor.backend == 'tensorrt' and machine.builds == 1
    assert any('the version tag does not match' in line for line in predictor.said)


def test_a_cache_that_cannot_be_written_costs_the_cache_only(
        machine, plane_model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
    assert on_engine(plane_model).backend == 'tensorrt'
    assert on_engine(plane_model).backend == 'tensorrt' and machine.builds == 2


@pytest.mark.parametrize('error', [BackendError('does not support Frob'), MemoryError()])
def test_a_build_that_fails_leaves_what_serves(machine, plane_model: Path, error: Exception):
    def failing(path: Path, progress) -> bytes:
        raise error
    machine.build = failing
    predictor = on_engine(plane_model)
    assert predictor.backend == 'onnxruntime-cpu' and predictor.backend_state == ''
    assert (str(error) or 'MemoryError') in predictor.skipped['tensorrt']


def test_a_gpu_without_memory_is_left_and_nothing_leaks(machine, plane_model: Path):
    machine.cuda.memory_left = 20_000
    predictor = on_engine(plane_model)
    assert predictor.backend == 'onnxruntime-cpu'
    assert 'cudaMalloc: out of memory' in predictor.skipped['tensorrt']
    assert machine.cuda.blocks == {}


def test_an_engine_that_finds_no_memory_for_its_context_is_left(machine, plane_model: Path,
                                                                monkeypatch: pytest.MonkeyPatch):
    """TensorRT says why in its log, and returns None."""
    class Runtime:
        def __init__(self, log: object) -> None:
            self.log = log

        def deserialize_cuda_engine(self, data: bytes) -> SimpleNamespace:
            return SimpleNamespace(create_execution_context=lambda: self.log.log(
                machine.trt.ILogger.ERROR, 'OutOfMemory (Requested size was 9 GiB.)'))
    machine.trt.Runtime = Runtime
    predictor = on_engine(plane_model)
    assert predictor.backend == 'onnxruntime-cpu'
    assert 'cannot run the engine: the GPU is out of memory' in predictor.skipped['tensorrt']
    assert any('without tensorrt: ' in line for line in predictor.said)


@pytest.mark.parametrize('call', ['cudaGraphLaunch', 'cudaEventSynchronize'])
def test_a_gpu_that_fails_under_way_hands_the_frame_down(machine, plane_model: Path, call: str):
    predictor = on_engine(plane_model)
    expected = predictor.predict(IMAGE)
    machine.cuda.failing = {call}
    after = predictor.predict(IMAGE)
    assert predictor.backend == 'onnxruntime-cpu'
    assert f'CUDA failed in {call}: an illegal memory access (700)' in predictor.skipped[
        'tensorrt']
    np.testing.assert_array_equal(expected.depth, after.depth)


def test_a_frame_is_one_graph_launch_in_the_right_order(machine, plane_model: Path):
    predictor = on_engine(plane_model)
    first = machine.cuda.calls
    at = first.index('cudaStreamBeginCapture')
    assert first[at + 1:at + 9] == ['cudaMemcpyAsync'] * 4 + ['execute_async_v3'] + [
        'cudaMemcpyAsync'] * 3
    machine.cuda.calls.clear()
    predictor.predict(IMAGE)
    assert machine.cuda.calls == ['cudaGraphLaunch', 'cudaEventRecord', 'cudaEventSynchronize']


def test_without_graphs_it_enqueues_the_calls(machine, plane_model: Path):
    machine.cuda.failing = {'cudaStreamBeginCapture'}
    predictor = on_engine(plane_model)
    assert predictor.backend == 'tensorrt'
    machine.cuda.calls.clear()
    predictor.predict(IMAGE)
    assert machine.cuda.calls.count('execute_async_v3') == 1
    assert 'cudaGraphLaunch' not in machine.cuda.calls


def test_memory_goes_back_with_the_predictor(machine, plane_model: Path):
    predictor = on_engine(plane_model)
    assert len(machine.cuda.blocks) == 14  # 4 inputs, 3 outputs, on both sides
    del predictor
    assert machine.cuda.blocks == {}


def test_an_engine_of_another_model_is_refused(machine, tmp_path: Path, plane_model: Path):
    other = save_model(tmp_path / 'm.onnx', plane_graph(32, 80), plane_card(32, 80).to_json())
    machine.build = lambda path, progress: other.read_bytes()
    assert 'by its card the graph takes' in on_engine(plane_model).skipped['tensorrt']
    assert machine.cuda.blocks == {}


def test_what_is_missing_is_said_in_order(monkeypatch: pytest.MonkeyPatch, plane_model: Path):
    with pytest.raises(BackendError, match='the Python package tensorrt is not installed'):
        monkeypatch.setattr(tensorrt, 'find_spec', lambda name: None)
        Predictor(plane_model, 'tensorrt')
    monkeypatch.setattr(tensorrt, 'installed', lambda name: None)
    monkeypatch.setattr(gpu, '_DRIVER', 'libnowhere.so.1')
    with pytest.raises(BackendError, match='no NVIDIA GPU: the driver is not installed'):
        Predictor(plane_model, 'tensorrt')
    monkeypatch.setattr(gpu, 'probe', lambda: gpu.Gpu('Orin', (8, 7), (12, 6)))
    monkeypatch.setattr(tensorrt, 'import_module', lambda name: stand_in_tensorrt(
        StandInCuda(), version='8.4.1'))
    with pytest.raises(BackendError, match=r'TensorRT 8.4.1 is too old'):
        Predictor(plane_model, 'tensorrt')
    monkeypatch.setattr(tensorrt, 'import_module', lambda name: stand_in_tensorrt(StandInCuda()))
    monkeypatch.setattr(cuda, '_MODULES', ('no_such_bindings',))
    with pytest.raises(BackendError, match='cuda-bindings is not installed'):
        Predictor(plane_model, 'tensorrt')


def test_two_runtimes_without_engines_build_one(machine, tmp_path: Path):
    model = write_plane_model(tmp_path / 'plane.onnx')
    predictor = Predictor(model)
    for thread in threading.enumerate():
        if thread.name == 'engine build':
            thread.join(30)
    for _ in range(8):
        predictor.predict(DARK)
    assert predictor.backend == 'tensorrt' and machine.builds == 1
    assert 'its engine is not built' in predictor.skipped['tensorrt_rtx']
    assert set(predictor.skipped) <= set(ladder.BACKENDS)


def test_an_engine_is_asked_by_one_thread_at_a_time_though_the_cpu_serves_two(
        machine, plane_model: Path, monkeypatch):
    asked, clashes = threading.Lock(), []
    run = tensorrt.TensorRTBackend.run

    def alone(self, inputs):
        if not asked.acquire(blocking=False):
            clashes.append(threading.current_thread().name)
            return run(self, inputs)
        try:
            time.sleep(0.002)
            return run(self, inputs)
        finally:
            asked.release()

    monkeypatch.setattr(tensorrt.TensorRTBackend, 'run', alone)
    serving = Ladder(ModelFile.open(plane_model), 'tensorrt', BackendOptions(2, inferences=2))
    assert serving.name == 'onnxruntime-cpu' and serving.concurrency == 2
    for thread in threading.enumerate():
        if thread.name == 'engine build':
            thread.join(30)
    inputs = {'image': DARK[None], 'intrinsics': np.float32([[60, 60, 40, 32]]),
              'gravity': np.float32([[0, 1, 0]]), 'camera_height': np.float32([1])}

    def ask(_: int) -> None:
        while serving.concurrency == 2:  # as the worker asks before each
            serving.run(inputs)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(ask, range(2)))
    assert serving.name == 'tensorrt' and serving.concurrency == 1 and clashes == []


def test_several_images_go_through_one_engine_at_once(machine):
    model = ModelFile.open('xnet_small')
    ladder = Ladder(model, 'tensorrt', BackendOptions(1, batch=3))
    for thread in threading.enumerate():
        if thread.name == 'engine build':
            thread.join(30)
    reference = Ladder(model, 'onnxruntime-cpu', BackendOptions(1))
    rng = np.random.default_rng(4)
    images = [{'image': rng.integers(0, 256, (1, *model.card.input_size, 3), np.uint8),
               'intrinsics': np.float32([[250, 250, 160, 128]]),
               'gravity': np.float32([[0, 1, 0]]), 'camera_height': np.float32([height])}
              for height in (0.5, 0.0, 1.5)]
    for _ in range(8):
        ladder.run(images[0])
    assert ladder.name == 'tensorrt' and ladder.max_batch == 3
    singly = [reference.run(image) for image in images]
    launches = machine.cuda.calls.count('cudaGraphLaunch')
    for chosen in ([0, 1, 2], [2], [1, 2], [0, 1, 2, 0]):
        outputs = ladder.run({name: np.concatenate([images[i][name] for i in chosen])
                              for name in images[0]})
        for place, i in enumerate(chosen):
            np.testing.assert_allclose(outputs['depth'][place], singly[i]['depth'][0], rtol=1e-5)
            assert np.array_equal(outputs['labels'][place], singly[i]['labels'][0])
    # Only a single image is a CUDA graph: alone, and the fourth of four.
    assert machine.cuda.calls.count('cudaGraphLaunch') == launches + 2
    assert tensorrt.engine_key(machine.trt, model, machine.gpu, 'fp32', batch=3) != \
        tensorrt.engine_key(machine.trt, model, machine.gpu, 'fp32')

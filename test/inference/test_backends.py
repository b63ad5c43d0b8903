"""One contract for all backends, and the ladder that chooses among them."""

from __future__ import annotations

import platform
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime as ort
import pytest
from helpers.fragile_model import write_fragile_model
from helpers.plane_model import plane_card, plane_graph, save_model, write_plane_model

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.mount import Mount
from dense_perception.inference.backends import (
    BACKENDS,
    Backend,
    BackendError,
    BackendOptions,
    Ladder,
    base,
    open_backend,
)
from dense_perception.inference.backends.base import Company
from dense_perception.inference.backends.onnxruntime import session_options
from dense_perception.inference.engines import Engines
from dense_perception.inference.model_file import ModelFile
from dense_perception.inference.prediction import Prediction
from dense_perception.inference.predictor import Predictor
from dense_perception.sources.opening import DEMO_CLIP, open_source

MOUNT = Mount.from_pitch_roll(0.2, 0.02, 0.8)


@dataclass(frozen=True)
class Tolerance:
    """Largest relative error of depth, and shares of pixels with another label or none."""

    depth: float
    labels: float
    unknown: float


TOLERANCES = {'fp32': Tolerance(1e-4, 1e-4, 1e-4), 'bf16': Tolerance(0.08, 0.01, 0.01)}
CASES = [(name, 'fp32') for name in BACKENDS] + [('openvino', 'bf16')]


@pytest.fixture(params=CASES, ids=lambda case: ' '.join(case))
def backend(request: pytest.FixtureRequest) -> Callable[[str | Path], tuple[Backend, Tolerance]]:
    """Opens a model in the backend of the case; skips where that is not available here."""
    name, precision = request.param

    def opened(model: str | Path) -> tuple[Backend, Tolerance]:
        try:
            found = open_backend(name, ModelFile.open(model), BackendOptions(1, precision))
        except BackendError as error:
            if not re.search('not installed|NVIDIA|built for the CPU|not compute in', str(error)):
                raise
            pytest.skip(f'{name}: {error}')
        return found, TOLERANCES[precision]
    return opened


def predictions(model: str | Path, backend: Backend, images: list[np.ndarray]):
    predictor = Predictor.on(ModelFile.open(model), backend)
    height, width = images[0].shape[:2]
    camera = Intrinsics(0.8 * width, 0.8 * width, width / 2, height / 2, width, height)
    return [predictor.predict(image, camera, mount)
            for image in images for mount in (MOUNT, None)]


def agree(model: str | Path, backend: Backend, tolerance: Tolerance,
          images: list[np.ndarray]) -> None:
    reference = open_backend('onnxruntime-cpu', ModelFile.open(model), BackendOptions(1))
    for a, b in zip(predictions(model, reference, images), predictions(model, backend, images)):
        both = np.isfinite(a.depth) & np.isfinite(b.depth)
        assert (np.isfinite(a.depth) != np.isfinite(b.depth)).mean() <= tolerance.unknown
        # The error of half a percent of the pixels may be larger in lower precisions.
        error = np.abs(a.depth - b.depth)[both] / a.depth[both]
        assert np.quantile(error, 0.995) <= tolerance.depth
        assert (a.labels != b.labels).mean() <= tolerance.labels
        assert {x.dtype for x in (b.labels, b.confidence)} == {np.dtype(np.uint8)}
        assert b.depth.dtype == np.float32 and b.depth.shape == a.depth.shape


def test_backends_agree_on_the_shipped_model(backend):
    if not DEMO_CLIP.is_dir():
        pytest.skip('no demo clip')
    frames = [frame.image for _, frame in zip(range(60), open_source('demo').frames())]
    agree('xnet_small', *backend('xnet_small'), frames[::30])


def test_backends_agree_on_flat_ground_and_random_colours(backend, plane_model: Path):
    rng = np.random.default_rng(5)
    images = [rng.integers(0, 256, (64, 80, 3), np.uint8) for _ in range(2)]
    agree(plane_model, *backend(plane_model), images)


def test_threads_that_stay_awake_compute_the_same(plane_model: Path):
    images = [np.random.default_rng(5).integers(0, 256, (64, 80, 3), np.uint8)]
    awake = Engines().predictor(plane_model, 'onnxruntime-cpu', BackendOptions(2, spin_us=200),
                                print)
    asleep = open_backend('onnxruntime-cpu', ModelFile.open(plane_model), BackendOptions(2))
    for a, b in zip(predictions(plane_model, awake.engine, images),
                    predictions(plane_model, asleep, images)):
        assert np.array_equal(a.depth, b.depth, equal_nan=True)
    entry = 'session.intra_op.{}'.format
    told = session_options(2, 200).get_session_config_entry
    assert (told(entry('allow_spinning')), told(entry('spin_duration_us'))) == ('1', '200')
    assert told('session.force_spinning_stop') == '1'
    assert session_options(2).get_session_config_entry(
        entry('allow_spinning')) == '0'


@pytest.mark.parametrize(('threads', 'inferences', 'at_once'),
                         [(1, 0, 1), (2, 0, 2), (8, 0, 2), (2, 1, 1), (1, 3, 3)])
@pytest.mark.parametrize('name', ['onnxruntime-cpu', 'openvino'])
def test_a_small_model_is_worth_two_inferences_at_the_same_time(
        name: str, threads: int, inferences: int, at_once: int, plane_model: Path):
    if name == 'openvino':
        pytest.importorskip('openvino', reason='openvino is not installed')
    model = ModelFile.open(plane_model)
    options = BackendOptions(threads, inferences=inferences)
    assert open_backend(name, model, options).concurrency == at_once
    large = replace(model, size=40 * 2 ** 20)
    assert open_backend(name, large, options).concurrency == (inferences or 1)


def test_all_threads_are_for_an_inference_that_begins_alone_and_after_a_rest(monkeypatch):
    now = 100.0
    monkeypatch.setattr(base, 'time', SimpleNamespace(monotonic=lambda: now))
    company = Company()
    with company.joined() as first:
        now += 20
        with company.joined() as second:
            pass
    assert first and not second
    with company.joined() as third:  # at once: the source sends more than there is time for
        now += 8
    now += 3.9
    with company.joined() as early:
        now += 2
    now += 1.1
    with company.joined() as rested:
        pass
    assert not third and not early and rested
    with pytest.raises(ValueError, match='failed'), company.joined():
        raise ValueError('failed')
    now += 1
    with company.joined() as after_an_error:
        assert after_an_error


def test_an_inference_beside_another_has_its_share_of_the_threads(plane_model: Path, monkeypatch):
    taken: list[int] = []
    together = threading.Barrier(1)

    class Session(ort.InferenceSession):
        def __init__(self, path, options, **rest) -> None:
            super().__init__(path, options, **rest)
            self.threads = options.intra_op_num_threads

        def run(self, *arguments):
            taken.append(self.threads)
            together.wait(30)
            return super().run(*arguments)

    monkeypatch.setattr(ort, 'InferenceSession', Session)
    monkeypatch.setattr(Company, '_REST', 0.0)
    backend = open_backend('onnxruntime-cpu', ModelFile.open(plane_model),
                           BackendOptions(6, inferences=0))
    image = [np.zeros((64, 80, 3), np.uint8)]
    predictions(plane_model, backend, image)
    assert set(taken) == {6}
    taken.clear()
    together = threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: predictions(plane_model, backend, image), range(2)))
    assert sorted(taken[:2]) == [3, 6]


@pytest.mark.parametrize('name', ['onnxruntime-cpu', 'openvino'])
def test_several_threads_may_ask_a_backend_of_a_cpu_at_the_same_time(name: str,
                                                                     plane_model: Path):
    if name == 'openvino':
        pytest.importorskip('openvino', reason='openvino is not installed')
    model = ModelFile.open(plane_model)
    shared = Ladder(model, name, BackendOptions(3, inferences=3))
    assert shared.concurrency == 3
    alone = open_backend(name, model, BackendOptions(1))
    assert alone.concurrency == 1
    rng = np.random.default_rng(6)
    images = [[rng.integers(0, 256, (64, 80, 3), np.uint8) for _ in range(20)] for _ in range(3)]
    start = threading.Barrier(3)

    def ask(own: list[np.ndarray]) -> list[Prediction]:
        start.wait(30)
        return predictions(plane_model, shared, own)

    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(ask, images))
    for own, found in zip(images, answers, strict=True):
        for a, b in zip(predictions(plane_model, alone, own), found, strict=True):
            assert np.array_equal(a.labels, b.labels) and np.array_equal(a.image, b.image)
            np.testing.assert_allclose(a.depth, b.depth, rtol=1e-5)


def test_engines_are_shared_by_who_wants_the_same(plane_model: Path):
    engines = Engines(cpu_batch=2)
    first, same, other = (
        engines.predictor(plane_model, 'onnxruntime-cpu', BackendOptions(1, spin_us=us), print)
        for us in (0, 0, 200))
    assert first.engine is same.engine and first.engine is not other.engine


def test_what_a_backend_returned_stays_as_it_was(backend, plane_model: Path):
    found, _ = backend(plane_model)
    dark, red = np.zeros((64, 80, 3), np.uint8), np.full((64, 80, 3), (255, 0, 0), np.uint8)
    first, second = (p.labels for p in predictions(plane_model, found, [dark, red])[::2])
    assert not first.any() and second.all()


def test_a_graph_that_does_not_fit_its_card_is_refused(backend, plane_model: Path,
                                                       tmp_path: Path):
    backend(plane_model)  # skips
    path = save_model(tmp_path / 'm.onnx', plane_graph(64, 80), plane_card(32, 80).to_json())
    with pytest.raises(BackendError, match='by its card the graph takes'):
        backend(path)[0]


def test_an_image_that_fails_does_not_end_the_backend(plane_model: Path, tmp_path: Path):
    fragile = Ladder(ModelFile.open(write_fragile_model(tmp_path / 'f.onnx')))
    with pytest.raises(BackendError, match='ONNX Runtime failed on an image'):
        fragile.run({'image': np.full((1, 64, 80, 3), 255, np.uint8)})
    assert not fragile.run({'image': np.zeros((1, 64, 80, 3), np.uint8)})['labels'].any()


def test_auto_says_of_every_rung_above_why_it_is_not_used(plane_model: Path):
    said: list[str] = []
    predictor = Predictor(plane_model, say=said.append)
    rungs = BACKENDS[:BACKENDS.index(predictor.backend.split()[0])]
    assert list(predictor.skipped) == list(rungs) and all(predictor.skipped.values())
    assert said == [f'without {rung}: {why}' for rung, why in predictor.skipped.items()]


def test_auto_takes_openvino_for_bfloat16_with_amx_only(plane_model: Path, tmp_path: Path,
                                                        monkeypatch):
    pytest.importorskip('openvino', reason='openvino is not installed')
    assert 'no faster than ONNX Runtime' in Predictor(plane_model).skipped.get('openvino', 'no f')
    monkeypatch.setattr(base, 'CPU_INFO', tmp_path / 'cpuinfo')
    for flags in (None, 'flags : avx512f avx512_bf16 amxless\n'):
        if flags is not None:
            (tmp_path / 'cpuinfo').write_text(flags)
        predictor = Predictor(plane_model, precision='bf16')
        assert predictor.backend == 'onnxruntime-cpu'
        assert 'only on CPUs with AMX, which this one lacks' in predictor.skipped['openvino']
    (tmp_path / 'cpuinfo').write_text('flags : avx512f avx512_bf16 amx_bf16 amx_tile amx_int8\n')
    predictor = Predictor(plane_model, precision='bf16')
    if 'does not compute in bfloat16' in predictor.skipped.get('openvino', ''):
        pytest.skip(predictor.skipped['openvino'])
    assert predictor.backend == 'openvino bf16'


def test_auto_takes_openvino_for_int8_with_vnni_only(plane_model: Path, tmp_path: Path,
                                                     monkeypatch):
    pytest.importorskip('openvino', reason='openvino is not installed')
    cpu = tmp_path / 'cpuinfo'
    monkeypatch.setattr(base, 'CPU_INFO', cpu)
    int8 = replace(ModelFile.open(plane_model), quantised=True)
    for flags, name in ((None, 'onnxruntime-cpu'), ('flags : avx2 fma', 'onnxruntime-cpu'),
                        ('flags : avx2 avx_vnni', 'openvino'),
                        ('flags : avx512f avx512_vnni', 'openvino')):
        if flags is not None:
            cpu.write_text(flags)
        said: list[str] = []
        found = Ladder(int8, say=said.append)
        assert found.name == name
        slow = 'plane.onnx is an int8 file, for which ONNX Runtime needs nearly twice the time'
        if name != 'openvino':
            assert 'without it OpenVINO adds the products of int8' in found.skipped['openvino']
            with pytest.raises(BackendError, match='this CPU lacks VNNI'):
                open_backend('openvino', int8, BackendOptions())
            assert said[-1].startswith(slow) or platform.machine() != 'x86_64'
        else:
            assert not any(sentence.startswith(slow) for sentence in said)


def test_a_named_rung_is_taken_or_refused(plane_model: Path):
    pytest.importorskip('openvino', reason='openvino is not installed')
    assert Predictor(plane_model, 'openvino').backend == 'openvino'
    with pytest.raises(BackendError, match='OpenVINO gains nothing from fp16'):
        Predictor(plane_model, 'openvino', precision='fp16')
    with pytest.raises(BackendError, match='unknown precision "int4"; choose from fp32'):
        Predictor(plane_model, precision='int4')


def test_a_model_that_no_rung_takes_is_refused_for_its_own_reason(tmp_path: Path):
    path = save_model(tmp_path / 'm.onnx', plane_graph(64, 80), plane_card(32, 80).to_json())
    with pytest.raises(BackendError, match=f'{path}: by its card the graph takes'):
        Predictor(path)
    write_plane_model(path)
    assert Predictor(path).backend == 'onnxruntime-cpu'

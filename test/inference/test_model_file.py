"""Model files: a good one, and one sentence for every bad one."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from helpers.plane_model import plane_card, plane_graph, save_model, write_plane_model

from dense_perception.inference.backends import BackendError
from dense_perception.inference.model_file import ModelFile, ModelFileError
from dense_perception.inference.predictor import Predictor


@pytest.fixture
def plane(tmp_path: Path) -> Path:
    return write_plane_model(tmp_path / 'plane.onnx', 16, 20)


def refusal(path: Path) -> str:
    """The one-line reason for which a file is refused."""
    with pytest.raises(ModelFileError) as caught:
        ModelFile.open(path)
    message = str(caught.value)
    assert '\n' not in message
    return message


def test_a_good_file_is_opened_without_running_it(plane: Path):
    model = ModelFile.open(plane)
    assert model.card == plane_card(16, 20)
    assert model.sha256 == hashlib.sha256(plane.read_bytes()).hexdigest()
    assert model.size == plane.stat().st_size


def test_absent_file_lists_what_there_is(tmp_path: Path):
    message = refusal(tmp_path / 'none.onnx')
    assert 'no model file' in message and 'shipped models' in message


def test_a_folder_is_no_model_file(tmp_path: Path):
    assert 'no model file' in refusal(tmp_path)


@pytest.mark.parametrize('content', [b'', b'not a model', b'\x00' * 100, bytes(range(256)) * 9])
def test_something_else_is_called_not_onnx(tmp_path: Path, content: bytes):
    path = tmp_path / 'other.onnx'
    path.write_bytes(content)
    assert 'not a complete ONNX file' in refusal(path)


def test_every_truncation_is_refused(plane: Path):
    data = plane.read_bytes()
    for length in range(len(data)):
        plane.write_bytes(data[:length])
        assert 'not a complete ONNX file' in refusal(plane) or 'no model card' in refusal(plane)


def test_random_damage_never_escapes_as_another_error(plane: Path):
    data, rng = plane.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(data)
        for at in rng.integers(len(data), size=3):
            damaged[at] = rng.integers(256)
        plane.write_bytes(damaged)
        try:
            ModelFile.open(plane)
        except ModelFileError:
            refused += 1
    assert refused > 100


def test_without_a_card_the_way_to_one_is_named(tmp_path: Path):
    path = save_model(tmp_path / 'bare.onnx', plane_graph(16, 20), card=None)
    assert 'no model card' in refusal(path) and 'dense-perception export' in refusal(path)


def test_card_of_another_schema_names_both_versions(tmp_path: Path):
    card = json.loads(plane_card(16, 20).to_json()) | {'schema_version': 99}
    path = save_model(tmp_path / 'new.onnx', plane_graph(16, 20), json.dumps(card))
    assert 'schema version 99' in refusal(path) and str(path) in refusal(path)


@pytest.mark.parametrize('changes', [{'mount': 'none'}, {'input_height': 32}])
def test_a_graph_that_does_not_fit_its_card_is_not_loaded(tmp_path: Path, changes: dict):
    card = plane_card(16, 20, **changes).to_json()
    path = save_model(tmp_path / 'unfit.onnx', plane_graph(16, 20), card)
    with pytest.raises(BackendError, match='by its card the graph takes'):
        Predictor(path)


def test_promised_outputs_must_exist(tmp_path: Path):
    graph = plane_graph(16, 20)
    del graph.output[1]
    path = save_model(tmp_path / 'less.onnx', graph, plane_card(16, 20).to_json())
    with pytest.raises(BackendError, match=r"promises outputs \['labels'\]"):
        Predictor(path)


def test_a_graph_the_runtime_cannot_load_is_said_so(tmp_path: Path):
    path = write_plane_model(tmp_path / 'odd.onnx', 16, 20)
    path.write_bytes(path.read_bytes().replace(b'Split', b'Splat'))
    with pytest.raises(BackendError, match='cannot load .*odd.onnx'):
        Predictor(path)

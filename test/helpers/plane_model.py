"""A tiny real model file whose answers are known: flat ground, and red things are class 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from dense_perception.inference import card as names

CONFIDENCE = 200
RED_THRESHOLD = 127


def plane_card(height: int = 64, width: int = 80, **changes: object) -> names.ModelCard:
    """Card of the plane model, with fields changed at will."""
    fields: dict = {
        'name': 'plane', 'system': 'analytic', 'variant': 'test', 'tasks': ('depth', 'labels'),
        'input_height': height, 'input_width': width, 'size_multiple': 1,
        'outputs': (names.OUTPUT_DEPTH, names.OUTPUT_LABELS, names.OUTPUT_CONFIDENCE),
        'depth_convention': 'metric', 'mount': 'optional',
        'classes': (names.ClassInfo(0, 'ground', (60, 160, 60)),
                    names.ClassInfo(1, 'red', (220, 40, 40)))}
    return names.ModelCard(**(fields | changes))


def write_plane_model(path: str | Path, height: int = 64, width: int = 80) -> Path:
    """Write the plane model.

    ``depth`` is ``camera_height / g`` with ``g = ray . gravity`` where g > 0, else NaN; without a
    mount (camera height 0) it is relative: ``H / (v + 1)`` in row v. ``labels`` is 1 where the
    red channel is above 127, else 0. ``confidence`` is 200 everywhere.
    """
    return save_model(path, plane_graph(height, width), plane_card(height, width).to_json())


def save_model(path: str | Path, graph: onnx.GraphProto, card: str | None) -> Path:
    """Write a graph as a model file with this card text; None writes no card."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    onnx.checker.check_model(model)
    if card is not None:
        helper.set_model_props(model, {names.METADATA_KEY: card})
    Path(path).write_bytes(model.SerializeToString())
    return Path(path)


def plane_graph(height: int, width: int) -> onnx.GraphProto:
    """Graph of the plane model."""
    size = [1, height, width]
    inputs = [helper.make_tensor_value_info(names.INPUT_IMAGE, TensorProto.UINT8, [*size, 3]),
              helper.make_tensor_value_info(names.INPUT_INTRINSICS, TensorProto.FLOAT, [1, 4]),
              helper.make_tensor_value_info(names.INPUT_GRAVITY, TensorProto.FLOAT, [1, 3]),
              helper.make_tensor_value_info(names.INPUT_CAMERA_HEIGHT, TensorProto.FLOAT, [1])]
    outputs = [helper.make_tensor_value_info(names.OUTPUT_DEPTH, TensorProto.FLOAT, size),
               helper.make_tensor_value_info(names.OUTPUT_LABELS, TensorProto.UINT8, size),
               helper.make_tensor_value_info(names.OUTPUT_CONFIDENCE, TensorProto.UINT8, size)]
    return helper.make_graph([*_depth_nodes(), *_label_nodes()], 'plane', inputs, outputs,
                             _constants(height, width))


def _constants(height: int, width: int) -> list[TensorProto]:
    relative = height / np.arange(1, height + 1, dtype=np.float32)[None]
    values = {
        'u': np.arange(width, dtype=np.float32).reshape(1, 1, width),
        'v': np.arange(height, dtype=np.float32).reshape(1, height, 1),
        'zero': np.float32(0), 'nan': np.float32(np.nan),
        'unmounted': np.tile(relative[..., None], (1, 1, width)),
        'red_index': np.int64(0), 'red_threshold': np.float32(RED_THRESHOLD),
        'confidence_values': np.full((1, height, width), CONFIDENCE, np.uint8)}
    return [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]


def _depth_nodes() -> list[onnx.NodeProto]:
    node = helper.make_node
    return [
        node('Split', [names.INPUT_INTRINSICS], ['fx', 'fy', 'cx', 'cy'], axis=1),
        node('Split', [names.INPUT_GRAVITY], ['down_x', 'down_y', 'down_z'], axis=1),
        node('Sub', ['u', 'cx'], ['u_centred']), node('Div', ['u_centred', 'fx'], ['ray_x']),
        node('Sub', ['v', 'cy'], ['v_centred']), node('Div', ['v_centred', 'fy'], ['ray_y']),
        node('Mul', ['ray_x', 'down_x'], ['g_x']), node('Mul', ['ray_y', 'down_y'], ['g_y']),
        node('Add', ['g_x', 'g_y'], ['g_xy']), node('Add', ['g_xy', 'down_z'], ['g']),
        node('Div', [names.INPUT_CAMERA_HEIGHT, 'g'], ['z']),
        node('Greater', ['g', 'zero'], ['below']),
        node('Where', ['below', 'z', 'nan'], ['metric']),
        node('Greater', [names.INPUT_CAMERA_HEIGHT, 'zero'], ['mounted']),
        node('Where', ['mounted', 'metric', 'unmounted'], [names.OUTPUT_DEPTH])]


def _label_nodes() -> list[onnx.NodeProto]:
    node = helper.make_node
    return [
        node('Gather', [names.INPUT_IMAGE, 'red_index'], ['red'], axis=3),
        node('Cast', ['red'], ['red_float'], to=TensorProto.FLOAT),
        node('Greater', ['red_float', 'red_threshold'], ['is_red']),
        node('Cast', ['is_red'], [names.OUTPUT_LABELS], to=TensorProto.UINT8),
        node('Identity', ['confidence_values'], [names.OUTPUT_CONFIDENCE])]

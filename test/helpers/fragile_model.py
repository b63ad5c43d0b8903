"""A tiny real model file whose inference fails on bright images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from helpers.plane_model import plane_card, save_model
from onnx import TensorProto, helper, numpy_helper

from dense_perception.inference import card as names

LIMIT = 128


def write_fragile_model(path: Path, height: int = 64, width: int = 80) -> Path:
    """Labels 0 for dark pixels; a red channel of 128 or more indexes past a table and fails."""
    constants = [numpy_helper.from_array(np.zeros(LIMIT, np.uint8), 'table'),
                 numpy_helper.from_array(np.int64(0), 'red_index')]
    nodes = [helper.make_node('Gather', [names.INPUT_IMAGE, 'red_index'], ['red'], axis=3),
             helper.make_node('Cast', ['red'], ['index'], to=TensorProto.INT64),
             helper.make_node('Gather', ['table', 'index'], [names.OUTPUT_LABELS], axis=0)]
    size = [1, height, width]
    graph = helper.make_graph(
        nodes, 'fragile',
        [helper.make_tensor_value_info(names.INPUT_IMAGE, TensorProto.UINT8, [*size, 3])],
        [helper.make_tensor_value_info(names.OUTPUT_LABELS, TensorProto.UINT8, size)], constants)
    card = plane_card(height, width, tasks=('labels',), outputs=(names.OUTPUT_LABELS,),
                      depth_convention=None, mount='none')
    return save_model(path, graph, card.to_json())

"""A tiny real model file that predicts what its image says: depth = red + green / 256."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from helpers.plane_model import plane_card, save_model
from onnx import TensorProto, helper, numpy_helper

from dense_perception.inference import card as names

HEIGHT, WIDTH = 64, 80


def write_code_model(path: Path, convention: str) -> Path:
    """Write a model without mount whose depth output, of that convention, is in its image."""
    constants = [numpy_helper.from_array(np.array([1, 1 / 256, 0], np.float32), 'weights'),
                 numpy_helper.from_array(np.array([3], np.int64), 'channel')]
    nodes = [helper.make_node('Cast', [names.INPUT_IMAGE], ['values'], to=TensorProto.FLOAT),
             helper.make_node('Mul', ['values', 'weights'], ['weighted']),
             helper.make_node('ReduceSum', ['weighted', 'channel'], [names.OUTPUT_DEPTH],
                              keepdims=0)]
    size = [1, HEIGHT, WIDTH]
    graph = helper.make_graph(
        nodes, 'code',
        [helper.make_tensor_value_info(names.INPUT_IMAGE, TensorProto.UINT8, [*size, 3])],
        [helper.make_tensor_value_info(names.OUTPUT_DEPTH, TensorProto.FLOAT, size)], constants)
    card = plane_card(HEIGHT, WIDTH, name='code', tasks=('depth',), outputs=(names.OUTPUT_DEPTH,),
                      depth_convention=convention, mount='none', classes=())
    return save_model(path, graph, card.to_json())


def image_saying(predicted: np.ndarray) -> np.ndarray:
    """The image, uint8 (64, 80, 3), of which that model predicts these values in 0 .. 255."""
    code = np.round(np.clip(predicted, 0, 255.9) * 256).astype(np.uint16)
    return np.stack([code >> 8, code & 255, np.zeros_like(code)], axis=-1).astype(np.uint8)

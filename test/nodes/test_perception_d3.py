"""D3-Predictor in the perception node: relative depth and mattes from real files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.camera import Camera
from helpers.graph import Graph
from helpers.pictures import plain
from sensor_msgs.msg import Image

torch = pytest.importorskip('torch', reason='export needs torch')
pytest.importorskip('diffusers', reason='D3-Predictor is built on diffusers')

from helpers.lively import enliven  # noqa: E402
from helpers.tiny_d3 import ONE_LEVEL  # noqa: E402

from dense_perception.export.cards import card_for, sized  # noqa: E402
from dense_perception.export.onnx_export import export_model  # noqa: E402
from dense_perception.inference.predictor import Predictor  # noqa: E402
from dense_perception.models import create_model  # noqa: E402

SIZE = 64, 128


@pytest.mark.parametrize(('variant', 'topic', 'encoding'), [
    ('d3_depth', 'depth/relative', '32FC1'), ('d3_matting', 'segmentation/alpha', 'mono8')])
def test_what_it_predicts_is_published(graph: Graph, tmp_path: Path, variant: str, topic: str,
                                       encoding: str):
    path = tmp_path / f'{variant}.onnx'
    model = enliven(create_model(variant, **ONE_LEVEL), *SIZE)
    export_model(model, sized(card_for(variant, ONE_LEVEL), SIZE), path, in_place=True)
    graph.start('perception', model=path)
    camera = Camera(graph)
    found, metric = graph.collect(Image, topic), graph.collect(Image, 'depth/image_rect')
    pixels = plain(*SIZE)
    pixels[16:40, 30:80] = (10, 200, 90)
    graph.spin_until(lambda: found, topic, lambda: camera.publish(pixels))
    assert not metric and found[0].encoding == encoding
    dtype = np.uint8 if encoding == 'mono8' else np.float32
    sent = np.frombuffer(found[0].data, dtype).reshape(SIZE)
    predicted = Predictor(path).predict(pixels)
    expected = predicted.depth if encoding == '32FC1' else np.round(255 * predicted.alpha)
    np.testing.assert_allclose(sent, expected, atol=1 if encoding == 'mono8' else 1e-4)
    assert np.std(sent) > 1e-3

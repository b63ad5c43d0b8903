"""The PyTorch reference behind the predictor's interface."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the reference is PyTorch')

from dense_perception.export.onnx_export import export_model  # noqa: E402
from dense_perception.export.reference import TorchPredictor  # noqa: E402
from dense_perception.geometry.camera import Intrinsics  # noqa: E402
from dense_perception.geometry.mount import Mount  # noqa: E402
from dense_perception.inference.backends import BackendError  # noqa: E402
from dense_perception.inference.card import ModelCard  # noqa: E402
from dense_perception.inference.predictor import Predictor  # noqa: E402
from dense_perception.models.xnet import XNet, XNetConfig  # noqa: E402

CARD = ModelCard(name='test', system='xnet', variant='xnet_small', tasks=('depth',),
                 input_height=64, input_width=96, outputs=('depth',), depth_convention='metric',
                 mount='optional')
CAMERA = Intrinsics(100.0, 100.0, 79.5, 59.5, 160, 120)


def model() -> XNet:
    torch.manual_seed(0)
    net = XNet(XNetConfig('mobilenetv4_conv_small_050', 'convnext_atto', depth='log_height',
                          mount_channels=2)).eval()
    torch.nn.init.normal_(net.head.linear.weight, std=0.5)
    return net


def test_it_says_what_the_model_file_says(tmp_path):
    net = model()
    export_model(net, CARD, tmp_path / 'model.onnx')
    image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    mount = Mount.from_pitch_roll(0.3, 0.0, 0.8)
    for known in (mount, None):
        reference = TorchPredictor(net, CARD).predict(image, CAMERA, known)
        deployed = Predictor(tmp_path / 'model.onnx').predict(image, CAMERA, known)
        assert reference.metric == deployed.metric == (known is not None)
        assert np.ptp(reference.depth[np.isfinite(reference.depth)]) > 0.1
        np.testing.assert_allclose(reference.depth, deployed.depth, rtol=1e-3)


def test_its_name_says_where_it_runs_and_failures_are_the_backend_s():
    predictor = TorchPredictor(model(), CARD)
    assert predictor.backend == 'torch-cpu'
    broken = model()
    broken.head.linear = torch.nn.Linear(3, 3)
    with pytest.raises(BackendError, match='PyTorch failed on an image'):
        TorchPredictor(broken, CARD).predict(np.zeros((64, 96, 3), np.uint8))

"""The mount channels against the geometry that the robot uses."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the models need torch')

from dense_perception.geometry.camera import Intrinsics  # noqa: E402
from dense_perception.geometry.mount import Mount  # noqa: E402
from dense_perception.models.inputs import mount_channels, normalised, with_mount  # noqa: E402

CAMERA = Intrinsics(90.0, 100.0, 40.0, 28.0, 80, 64)
MOUNT = Mount.from_pitch_roll(0.3, -0.1, 0.8)


def channels(known: float) -> np.ndarray:
    k = torch.tensor([[CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy]])
    return mount_channels(k, torch.tensor([MOUNT.down]), torch.tensor([known]), CAMERA.height,
                          CAMERA.width)[0].numpy()


def test_first_channel_is_the_descent_and_second_the_ground_depth():
    g, ground = channels(1.0)
    np.testing.assert_allclose(g, MOUNT.descent(CAMERA), atol=1e-5)
    depth = MOUNT.ground_depth(CAMERA)
    near = depth < 40 * MOUNT.height
    np.testing.assert_allclose(np.exp(4 * ground)[near] * MOUNT.height, depth[near], rtol=1e-3)


def test_unknown_mount_is_zero_and_unlike_any_known_one():
    assert not channels(0.0).any()
    g, ground = channels(1.0)
    assert ground[np.abs(g) < 0.02].min() > 0.5


def test_unknown_mount_takes_any_numbers():
    rgb = normalised(torch.zeros(1, 64, 80, 3, dtype=torch.uint8))
    x = with_mount(rgb, torch.zeros(1, 4), torch.zeros(1, 3), torch.zeros(1))
    assert x.shape == (1, 5, 64, 80)
    assert torch.isfinite(x).all()


def test_normalised_is_imagenet_by_default():
    image = torch.tensor([[[[124, 116, 104]]]], dtype=torch.uint8)
    assert normalised(image).abs().max() < 0.02

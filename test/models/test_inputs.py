"""The mount channels against the geometry that the robot uses."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the models need torch')

from dense_perception.geometry.camera import Intrinsics  # noqa: E402
from dense_perception.geometry.mount import Mount  # noqa: E402
from dense_perception.models.inputs import (  # noqa: E402
    mount_channels,
    normalised,
    toned,
    with_mount,
)

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


@pytest.mark.parametrize(('darkest', 'brightest'), [(0, 90), (60, 180), (150, 255)])
def test_toned_images_have_the_brightness_and_keep_black_white_and_order(darkest: int,
                                                                         brightest: int):
    levels = torch.linspace(darkest, brightest, 76800).reshape(1, 160, 160, 3)
    out = toned(levels, 0.5)
    assert out.mean() / 255 == pytest.approx(0.5, abs=0.015)
    flat = out.flatten()
    assert (flat.diff() > 0).all() and flat[0] >= 0 and flat[-1] <= 255 + 1e-3
    ends = torch.tensor([0.0, 255.0]).repeat_interleave(3).reshape(1, 1, 2, 3)
    torch.testing.assert_close(toned(ends, 0.7), ends, rtol=0, atol=1e-3)


def test_each_image_has_its_own_tone_curve_and_extremes_stay_finite():
    images = torch.stack([torch.full((8, 8, 3), v, dtype=torch.uint8) for v in (0, 40, 200, 255)])
    together = normalised(images, brightness=0.58)
    for image, expected in zip(images, together, strict=True):
        torch.testing.assert_close(normalised(image[None], brightness=0.58)[0], expected)
    assert torch.isfinite(together).all()
    assert together[1].mean() == pytest.approx(together[2].mean().item(), abs=1e-3)
    torch.testing.assert_close(normalised(images), normalised(images, brightness=None))
    assert not torch.allclose(together[1], normalised(images)[1])

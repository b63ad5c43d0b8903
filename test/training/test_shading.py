"""Ambient occlusion: what light reaches of a known shape."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('torch', reason='training needs torch')

from dense_perception_training.sample import Sample
from dense_perception_training.transforms import AmbientOcclusion, TransformError, generator
from dense_perception_training.transforms.shading import openness

from dense_perception.geometry.camera import Intrinsics

CAMERA = Intrinsics(100.0, 100.0, 79.5, 63.5, 160, 128)


def corridor() -> np.ndarray:
    """Depth of a floor 1 m below the camera that ends at a wall 3 m ahead."""
    below = CAMERA.ray_slopes()[1][:, None]
    floor = np.where(below > 0.05, 1 / np.maximum(below, 0.05), np.inf)
    return np.broadcast_to(np.minimum(floor, 3), (128, 160)).astype(np.float32)


def test_corners_get_less_light_than_planes():
    wall = openness(np.full((128, 160), 3, np.float32), CAMERA, 1.0)
    assert wall == pytest.approx(1, abs=1e-4)
    light = openness(corridor(), CAMERA, 1.0)
    corner = int(63.5 + 100 / 3)  # the row where the floor ends
    column = light[:, 80]
    assert column[corner - 3:corner + 4].max() < 0.9
    assert column[10] == pytest.approx(1, abs=0.01)  # 1.6 m above the floor
    assert column[corner] < column[corner + 12] and column[corner] < column[corner - 12]
    # What is beyond the reach takes no light.
    assert openness(corridor(), CAMERA, 0.2)[corner - 25, 80] == pytest.approx(1, abs=0.01)


def test_only_the_image_changes_and_only_with_depth():
    image = np.full((128, 160, 3), 200, np.uint8)
    sample = Sample(image, 'x', depth=corridor(), intrinsics=CAMERA)
    shaded = AmbientOcclusion(share=1)(sample, generator(0))
    assert shaded.image.min() < 180 and shaded.image.max() <= 200
    assert shaded.depth is sample.depth and (image == 200).all()
    for plain in (Sample(image, 'x', intrinsics=CAMERA), Sample(image, 'x', depth=corridor())):
        assert AmbientOcclusion(share=1)(plain, generator(0)).image is image
    assert AmbientOcclusion(share=0)(sample, generator(0)).image is image
    # Nothing is known of the sky, and nothing gets dark by it.
    sky = Sample(image, 'x', depth=np.full((128, 160), np.nan, np.float32), intrinsics=CAMERA)
    assert AmbientOcclusion(share=1)(sky, generator(0)).image.min() >= 199


@pytest.mark.parametrize(('options', 'message'), [
    ({'radius': (0, 1)}, r'radius is \(0, 1\); write the smallest \(from 0.001\)'),
    ({'radius': 1.0}, 'radius is 1.0'), ({'strength': (2, 1)}, r'strength is \(2, 1\)')])
def test_ranges_that_cannot_be_are_refused(options: dict, message: str):
    with pytest.raises(TransformError, match=message):
        AmbientOcclusion(**options)

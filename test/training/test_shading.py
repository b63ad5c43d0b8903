"""Light from the depth: what reaches a known shape, and that nothing but the image changes."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('torch', reason='training needs torch')

from dense_perception_training.sample import Sample
from dense_perception_training.transforms import AmbientOcclusion, Lamp, TransformError, generator
from dense_perception_training.transforms.shading import lamp_light, openness

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


def test_a_lamp_lights_what_faces_it_and_is_near():
    # Above the floor, half way to the wall.
    light = lamp_light(corridor(), CAMERA, np.array([0.0, 0.0, 1.5]), 2.0)
    row = int(63.5 + 100 / 1.5)  # the floor below the lamp, 1 m away, facing it
    assert light[row - 4:row + 4, 78:82] == pytest.approx(1 / (1 + (1 / 2) ** 2), abs=0.02)
    assert light[64, 80] == pytest.approx(1 / (1 + (1.5 / 2) ** 2), abs=0.02)  # the wall
    assert light[64, 10] < light[64, 80] and light[115, 10] < light[115, 80]
    # From behind the wall nothing of it is lit; the floor is, by a slanting light.
    behind = lamp_light(corridor(), CAMERA, np.array([0.0, -1.0, 4.0]), 2.0)
    assert behind[:90].max() == 0 and 0 < behind[120, 80] < 0.3


def test_the_light_of_a_lamp_has_no_gaps_at_edges():
    depth = np.full((128, 160), 3, np.float32)
    depth[40:90, 60:100] = 1.5
    depth[::7, 20] = 1.0  # narrower than any window
    light = lamp_light(depth, CAMERA, np.zeros(3), 3.0)
    # Every surface faces the camera, so that each has its own light, right up to the edge.
    x, y = CAMERA.ray_slopes()
    distance = depth * np.sqrt(1 + x ** 2 + y[:, None] ** 2)
    truth = depth / distance / (1 + (distance / 3) ** 2)
    whole = depth > 1
    assert light[whole] == pytest.approx(truth[whole], rel=0.05)
    assert light[~whole].min() > 0.3


@pytest.mark.parametrize('transform', [AmbientOcclusion, Lamp])
def test_only_the_image_changes_and_only_with_depth(transform: type[AmbientOcclusion | Lamp]):
    image = np.full((128, 160, 3), 200, np.uint8)
    sample = Sample(image, 'x', depth=corridor(), intrinsics=CAMERA)
    shaded = transform(share=1)(sample, generator(0))
    assert shaded.image.min() < 180 and shaded.image.dtype == np.uint8
    assert shaded.depth is sample.depth and (image == 200).all()
    for plain in (Sample(image, 'x', intrinsics=CAMERA), Sample(image, 'x', depth=corridor())):
        assert transform(share=1)(plain, generator(0)).image is image
    assert transform(share=0)(sample, generator(0)).image is image
    # Nothing is known of the sky, and nothing gets dark by it.
    sky = Sample(image, 'x', depth=np.full((128, 160), np.nan, np.float32), intrinsics=CAMERA)
    assert transform(share=1)(sky, generator(0)).image.min() >= 199


def test_occlusion_only_takes_light_and_a_lamp_keeps_the_mean():
    image = np.full((128, 160, 3), 100, np.uint8)
    sample = Sample(image, 'x', depth=corridor(), intrinsics=CAMERA)
    assert AmbientOcclusion(share=1)(sample, generator(0)).image.max() <= 100
    for seed in range(5):
        lit = Lamp(share=1, tint=(1, 1))(sample, generator(seed)).image / 100
        assert np.mean(lit ** 2.2) == pytest.approx(1, abs=0.1)
        assert lit.max() > 1.02 and lit.min() < 0.98


@pytest.mark.parametrize(('options', 'message'), [
    ({'radius': (0, 1)}, r'radius is \(0, 1\); write the smallest \(at least 0.001\)'),
    ({'radius': 1.0}, 'radius is 1.0'), ({'strength': (2, 1)}, r'strength is \(2, 1\)')])
def test_ranges_that_cannot_be_are_refused(options: dict, message: str):
    with pytest.raises(TransformError, match='ambient_occlusion: ' + message):
        AmbientOcclusion(**options)


def test_a_lamp_without_reach_is_refused():
    with pytest.raises(TransformError, match=r'lamp: reach is \(0, 1\); write the smallest'):
        Lamp(reach=(0, 1))

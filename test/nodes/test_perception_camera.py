"""The perception node as a process: every kind of camera gets to depth, mask and cloud."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from helpers.camera import half_red, time_of
from helpers.encodings import encoded
from helpers.graph import Graph
from helpers.lens import MOUNT, displacement, lens_info, picture
from helpers.scene import MOUNTED, Scene
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

LOOKING_DOWN = {'mount__height': 2.0, 'mount__pitch': 1.35, 'mount__roll': 0.1}


def latest(scene: Scene, info: CameraInfo, image: Image | CompressedImage,
           lists: tuple[list, ...]) -> list[Any]:
    """A message of each kind with one stamp, of images that are sent from now on."""
    scene.forget()

    def common() -> set[tuple[int, int]]:
        return set.intersection(*({time_of(m.header) for m in messages} for messages in lists))

    stamp = max(scene.until(common, 'all outputs of one image',
                            lambda: scene.camera.send(image, info)))
    return [next(m for m in messages if time_of(m.header) == stamp) for messages in lists]


def test_other_encodings_reach_depth_and_mask(graph: Graph, plane_model: Path):
    scene = Scene(graph, model=plane_model, **MOUNTED)
    expected = half_red(80, 64)[..., 0] // 255
    for encoding in ('nv12', 'bayer_gbrg8', 'yuyv', 'bgra8', 'bayer_rggb16'):
        scene.forget()
        image = encoded(half_red(), encoding, padding=6)
        scene.until(lambda: scene.depths and scene.masks and scene.clouds, f'depth of {encoding}',
                    lambda image=image: scene.camera.send(image))
        mask = np.frombuffer(scene.masks[-1].data, np.uint8).reshape(64, 80)
        np.testing.assert_array_equal(mask, expected, err_msg=encoding)
        assert scene.depths[-1].header in scene.camera.headers
    assert 'refused' not in scene.process.log


def test_compressed_images_come_through_or_are_refused(graph: Graph, plane_model: Path):
    scene = Scene(graph, compressed=True, model=plane_model, **MOUNTED)

    def jpeg() -> bytes:
        return cv2.imencode('.jpg', np.ascontiguousarray(half_red()[..., ::-1]))[1].tobytes()

    def send(data: bytes, text: str = 'rgb8; jpeg compressed bgr8') -> None:
        scene.camera.send(CompressedImage(format=text, data=data))

    def works() -> None:
        scene.depths.clear()
        scene.until(lambda: scene.depths and scene.masks, 'depth', lambda: send(jpeg()))

    works()
    mask = np.frombuffer(scene.masks[-1].data, np.uint8).reshape(64, 80)
    np.testing.assert_array_equal(mask[:, 2:38], 0)
    np.testing.assert_array_equal(mask[:, 42:78], 1)
    depth = cv2.imencode('.png', np.full((240, 320), 1000, np.uint16))[1].tobytes()
    for data, text, words in (
            (b'', 'jpeg', 'it is empty; image/compressed takes JPEG'),
            (jpeg()[:900], 'jpeg', 'its 900 bytes are a JPEG that is cut off'),
            (b'no picture', 'png', 'its 10 bytes are damaged, cut off or no picture'),
            (bytes(12) + depth, '16UC1; compressedDepth', 'is a depth image; remap "image"')):
        scene.forget()
        status = scene.said(words, DiagnosticStatus.ERROR,
                            lambda data=data, text=text: send(data, text))
        assert '/image/compressed: image refused: ' in status.message
        assert not scene.depths and not scene.masks
    works()


@pytest.mark.parametrize(('lens', 'variant', 'compressed'), [
    ('plumb_bob 5', {'p_scale': 0.7}, False),
    ('equidistant', {'roi': (31, 17, 253, 201), 'binning': 2}, True)])
def test_a_distorted_camera_gives_a_straight_cloud(
        graph: Graph, plane_model: Path, lens: str, variant: dict[str, Any], compressed: bool):
    scene = Scene(graph, compressed=compressed, model=plane_model, **LOOKING_DOWN)
    info = lens_info(lens, **variant)
    pixels = picture(info)
    image = (CompressedImage(format='png', data=cv2.imencode(
        '.png', np.ascontiguousarray(pixels[..., ::-1]))[1].tobytes())
        if compressed else encoded(pixels, 'rgb8'))
    cloud, depth, mask, out, status = latest(
        scene, info, image,
        (scene.clouds, scene.depths, scene.masks, scene.infos, scene.statuses))
    points, colours = _xyz_and_colours(cloud)
    shift = displacement(colours, points)
    assert shift.mean < 0.005 and shift.worst < 0.05, shift
    heights = points @ np.array(MOUNT.down)
    np.testing.assert_allclose(heights[np.isfinite(heights)], 2.0, atol=1e-4)

    p = np.reshape(out.p, (3, 4))
    v, u = np.nonzero(np.isfinite(heights))
    projected = points[v, u] @ p[:, :3].T
    assert np.abs(projected[:, 0] / projected[:, 2] - u).max() < 1e-3
    assert np.abs(projected[:, 1] / projected[:, 2] - v).max() < 1e-3
    assert not np.any(out.d) and np.array_equal(np.reshape(out.k, (3, 3)), p[:, :3])
    assert np.array_equal(np.reshape(out.r, (3, 3)), np.eye(3))
    assert 'rectify' in [stage.name for stage in status.stages]

    # What the camera does not see is unknown in depth, mask and cloud alike.
    metres = np.frombuffer(depth.data, np.float32).reshape(64, 80)
    unseen = np.isnan(metres)
    assert 0.05 < unseen.mean() < 0.5 and not unseen[32, 40]
    np.testing.assert_array_equal(unseen, np.isnan(heights))
    np.testing.assert_array_equal(
        unseen, np.frombuffer(mask.data, np.uint8).reshape(64, 80) == 255)
    assert 'WARN' not in scene.process.log


def test_rectified_at_camera_size(graph: Graph, plane_model: Path):
    scene = Scene(graph, model=plane_model, output_size='camera', **LOOKING_DOWN)
    info = lens_info('plumb_bob 5', p_scale=0.7)
    cloud, out = latest(scene, info, encoded(picture(info), 'rgb8'), (scene.clouds, scene.infos))
    points, colours = _xyz_and_colours(cloud)
    # Depth repeats the network's pixels; along its ray each point goes to the ground.
    points *= (2.0 / (points @ np.array(MOUNT.down)))[..., None]
    assert points.shape == (240, 320, 3)
    shift = displacement(colours, points)
    assert shift.mean < 0.005 and shift.worst < 0.05, shift
    np.testing.assert_allclose(out.p, info.p)


def test_zoom_counts_at_the_next_frame(graph: Graph, plane_model: Path):
    scene = Scene(graph, model=plane_model, **LOOKING_DOWN)
    for factor in (1.0, 1.5, 0.9):
        info = lens_info('plumb_bob 5')
        info.k[[0, 4]] *= factor
        info.p[[0, 5]] *= factor
        cloud, out = latest(scene, info, encoded(picture(info), 'rgb8'),
                            (scene.clouds, scene.infos))
        assert out.p[0] == pytest.approx(info.p[0] * 80 / 320)
        assert displacement(*_xyz_and_colours(cloud)[::-1]).worst < 0.05


@pytest.mark.parametrize(('rectify', 'change', 'words'), [
    ('never', {}, '/image is not rectified and its camera_info has distortion'),
    ('auto', {'distortion_model': 'radtan8'}, 'distortion_model "radtan8" is unknown; known are'),
    ('auto', {'d': [0.1] * 3}, '"plumb_bob" has 4 or 5 coefficients, D has 3')])
def test_a_lens_that_is_not_undone_is_named(graph: Graph, plane_model: Path, rectify: str,
                                            change: dict[str, Any], words: str):
    scene = Scene(graph, model=plane_model, rectify=rectify, **LOOKING_DOWN)
    info = lens_info('plumb_bob 5')
    for name, value in change.items():
        setattr(info, name, value)
    image = encoded(np.zeros((240, 320, 3), np.uint8), 'rgb8')
    status = scene.said(words, DiagnosticStatus.WARN, lambda: scene.camera.send(image, info))
    assert 'depth/image_rect and depth/points are wrong towards the corners' in status.message
    scene.until(lambda: scene.depths and scene.infos, 'depth all the same',
                lambda: scene.camera.send(image, info))
    assert list(scene.infos[-1].d) == list(info.d)


def test_rectify_required_gives_nothing_metric_without(graph: Graph, plane_model: Path):
    scene = Scene(graph, model=plane_model, rectify='required', **LOOKING_DOWN)
    info = lens_info('plumb_bob 5')
    info.d = [0.1] * 3
    image = encoded(np.zeros((240, 320, 3), np.uint8), 'rgb8')
    scene.said('so the image cannot be rectified; until that changes there is no cloud',
               DiagnosticStatus.WARN, lambda: scene.camera.send(image, info))
    scene.until(lambda: scene.relatives and scene.masks, 'masks all the same',
                lambda: scene.camera.send(image, info))
    assert not scene.depths and not scene.clouds and not scene.infos
    good = lens_info('plumb_bob 5')
    scene.until(lambda: scene.depths and scene.clouds, 'metric depth again',
                lambda: scene.camera.send(image, good))


def _xyz_and_colours(cloud: PointCloud2) -> tuple[np.ndarray, np.ndarray]:
    """Points and colours of an organised cloud, each (height, width, 3)."""
    data = np.frombuffer(cloud.data, np.uint8).reshape(cloud.height, cloud.width, -1)
    offsets = {field.name: field.offset for field in cloud.fields}
    points = np.stack([data[..., o:o + 4].copy().view(np.float32)[..., 0]
                       for o in (offsets['x'], offsets['y'], offsets['z'])], axis=-1)
    first = offsets['rgb']
    return points.astype(np.float64), data[..., [first + 2, first + 1, first]]

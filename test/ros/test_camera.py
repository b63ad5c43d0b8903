"""A camera's way from CameraInfo to a cloud: the world must lie where the image shows it."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from helpers.lens import LENSES, MOUNT, Displacement, displacement, lens_info, picture
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.cloud import CloudBuilder
from dense_perception.ros.camera import Calibration, Camera
from dense_perception.ros.camera_info import info_from_intrinsics
from dense_perception.ros.conditions import Conditions, Level

NETWORK = (80, 64)


class View:
    """A camera on topics of its own and everything that it says."""

    def __init__(self, geometry: str = 'auto', rectify: str = 'auto',
                 topic: str = '/front/image') -> None:
        self.said: list[tuple[Level, str]] = []
        self.conditions = Conditions(lambda level, text: self.said.append((level, text)))
        self.camera = Camera(self.conditions, topic, '/front/camera_info', geometry, rectify)

    def read(self, info: CameraInfo | None, width: int = 320, height: int = 240,
             size: tuple[int, int] = NETWORK, stamp: int = 0) -> Calibration | None:
        if info is not None:
            self.camera.on_info(info)
        return self.camera.calibration(Header(stamp=Time(sec=stamp)), width, height, size)


def points_of(intrinsics: Intrinsics) -> np.ndarray:
    cloud = CloudBuilder().build(MOUNT.ground_depth(intrinsics), intrinsics)
    return np.stack([cloud[axis] for axis in 'xyz'], axis=-1)


def shown(found: Calibration, pixels: np.ndarray) -> Displacement:
    """How far a rectified image is from the cloud of the same calibration."""
    points = points_of(found.intrinsics)
    if found.rectification.seen is not None:
        points[~found.rectification.seen] = np.nan
    return displacement(found.rectification.apply(pixels), points)


VARIANTS = {'full': {}, 'turned': {'angle': 0.03}, 'binned': {'binning': 2},
            'region': {'roi': (30, 20, 250, 200)},
            'region and binning': {'roi': (31, 17, 253, 201), 'binning': 2}}


@pytest.mark.parametrize('size', [NETWORK, None], ids=['network size', 'camera size'])
@pytest.mark.parametrize(('lens', 'variant'), [
    *((lens, 'full') for lens in LENSES),
    *(('plumb_bob 5', variant) for variant in VARIANTS if variant != 'full'),
    ('equidistant', 'region and binning')])
def test_rectified_pixels_lie_where_the_cloud_has_them(lens: str, variant: str,
                                                       size: tuple[int, int] | None):
    info = lens_info(lens, **VARIANTS[variant])
    pixels = picture(info)
    height, width = pixels.shape[:2]
    view = View()
    found = view.read(info, width, height, size or (width, height))
    shift = shown(found, pixels)
    assert shift.mean < 0.005 and shift.worst < 0.05, shift
    assert not view.said

    out = view.camera.output_info(found, found.intrinsics.width, found.intrinsics.height, Header())
    p = np.reshape(out.p, (3, 4))
    points = points_of(found.intrinsics)
    projected = points @ p[:, :3].T
    v, u = np.mgrid[:out.height, :out.width]
    assert np.abs(projected[..., 0] / projected[..., 2] - u).max() < 1e-3
    assert np.abs(projected[..., 1] / projected[..., 2] - v).max() < 1e-3
    assert not np.any(out.d) and np.array_equal(np.reshape(out.r, (3, 3)), np.eye(3))
    assert np.array_equal(np.reshape(out.k, (3, 3)), p[:, :3])
    assert (out.binning_x, out.roi.width) == (0, 0)


def test_without_rectification_the_same_check_fails():
    """Else it would prove nothing."""
    info = lens_info('plumb_bob 5', p_scale=1.0)
    found = View(rectify='never').read(info)
    assert displacement(picture(info), points_of(found.intrinsics)).worst > 1


@pytest.mark.parametrize('variant', ['full', 'region', 'binned', 'region and binning'])
@pytest.mark.parametrize('geometry', ['raw', 'rectified'])
def test_pinhole_pixels_lie_where_the_cloud_has_them(geometry: str, variant: str):
    """Raw images without a lens are K's, rectified ones are P's, each with region and binning."""
    info = lens_info('plumb_bob 4', **VARIANTS[variant])
    seen_by = lens_info('plumb_bob 4', **VARIANTS[variant])
    seen_by.d = [0.0] * 4
    if geometry == 'rectified':
        seen_by.k = np.reshape(info.p, (3, 4))[:, :3].ravel()
    else:
        info = seen_by
    pixels = picture(seen_by)
    view = View(geometry)
    found = view.read(info, pixels.shape[1], pixels.shape[0])
    assert found.rectification is None and not view.said
    shift = displacement(pixels, points_of(found.intrinsics))
    assert shift.worst < 0.05, shift
    for width, height in ((pixels.shape[1], pixels.shape[0]), NETWORK):
        out = view.camera.output_info(found, width, height, Header())
        scaled = found.intrinsics.resized(width, height)
        expected = (scaled.fx, scaled.fy, scaled.cx, scaled.cy)
        np.testing.assert_allclose(np.take(out.k, (0, 4, 2, 5)), expected)
        np.testing.assert_allclose(np.take(out.p, (0, 5, 2, 6)), expected)
        assert not np.any(out.d)


def test_unrectified_info_describes_the_lens():
    info = lens_info('rational')
    view = View(rectify='never')
    found = view.read(info)
    out = view.camera.output_info(found, 320, 240, Header())
    assert (list(out.d), out.distortion_model) == (list(info.d), 'rational_polynomial')
    np.testing.assert_array_equal(out.k, info.k)
    np.testing.assert_array_equal(out.p, info.p)


def test_empty_p_and_r_mean_k_and_identity():
    info = lens_info('plumb_bob 5')
    info.p, info.r = np.zeros(12), np.zeros(9)
    found = View().read(info, size=(320, 240))
    assert found.rectification is not None
    np.testing.assert_array_equal(found.intrinsics.matrix, np.reshape(info.k, (3, 3)))


def test_stereo_baseline_scales_with_the_image():
    info = lens_info('plumb_bob 5')
    info.p[3] = -20.0
    view = View()
    out = view.camera.output_info(view.read(info), *NETWORK, Header())
    assert out.p[3] / out.p[0] == pytest.approx(-20.0 / info.p[0])


@pytest.mark.parametrize(('topic', 'geometry', 'rectified'), [
    ('/front/image_raw', 'auto', False), ('/front/image_rect', 'auto', True),
    ('/rectangle/image', 'auto', False), ('/front/image_rect', 'raw', False),
    ('/front/image_raw', 'rectified', True)])
def test_the_topic_tells_what_is_rectified_already(topic: str, geometry: str, rectified: bool):
    found = View(geometry, topic=topic).read(lens_info('plumb_bob 5'))
    assert (found.rectification is None) == rectified


BAD_LENSES = {
    'unknown model': ({'distortion_model': 'radtan8'}, 'distortion_model "radtan8" is unknown; '
                      'known are plumb_bob, rational_polynomial, equidistant'),
    'no model': ({'distortion_model': ''}, 'distortion_model "" is unknown'),
    'too few': ({'d': [0.1, 0.2, 0.3]}, '"plumb_bob" has 4 or 5 coefficients, D has 3'),
    'too many': ({'d': [0.1] * 8}, '"plumb_bob" has 4 or 5 coefficients, D has 8'),
    'fisheye with 5': ({'d': [0.1] * 5, 'distortion_model': 'equidistant'},
                       '"equidistant" has 4 coefficients, D has 5'),
    'NaN in D': ({'d': [math.nan] * 5}, 'D is not finite'),
    'no rotation': ({'r': [2.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]},
                    'R is not a rotation; it must be the identity for a single camera'),
    'NaN in R': ({'r': [math.nan] * 9}, 'R is not a rotation'),
    'P of another camera': ({'p': [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]},
                            'P does not fit K and D: only 0 % of the rectified image'),
    'bad P': ({'p': [math.nan] * 12}, 'unusable P: intrinsics are not finite')}


@pytest.mark.parametrize('name', BAD_LENSES)
def test_a_lens_that_cannot_be_undone_is_named(name: str):
    changes, words = BAD_LENSES[name]
    info = lens_info('plumb_bob 5')
    for field, value in changes.items():
        setattr(info, field, value)
    view = View()
    found = view.read(info)
    (level, sentence), = view.said
    assert level == Level.WARN and words in sentence
    assert sentence.startswith('/front/image is not rectified')
    assert '/front/camera_info: ' in sentence and 'wrong towards the corners' in sentence
    assert found.rectification is None and found.intrinsics.fx == 215

    strict = View(rectify='required')
    assert strict.read(info) is None
    (level, sentence), = strict.said
    assert words in sentence and 'cannot be rectified' in sentence
    assert 'there is no cloud' in sentence


def test_rectify_never_is_said_with_what_to_do():
    view = View(rectify='never')
    assert view.read(lens_info('plumb_bob 5')).rectification is None
    (_, sentence), = view.said
    assert 'rectify is never; set it to auto' in sentence and 'remap "image"' in sentence


@pytest.mark.parametrize(('changes', 'words'), [
    ({'k': [0.0] * 9}, 'K of zeros: the camera is not calibrated; calibrate it and give'),
    ({'k': [math.nan] * 9}, 'unusable K: intrinsics are not finite'),
    ({'k': [-215.0, 0.0, 160.0, 0.0, 217.0, 120.0, 0.0, 0.0, 1.0]}, 'must be positive'),
    ({'width': 640, 'height': 480}, 'is for 640x480, the image is 320x240; the driver must say '
     'roi and binning'),
    ({'binning_x': 2, 'binning_y': 2}, r'is for 160x120 (320x240, roi 0x0, binning 2x2)'),
])
def test_unusable_info_is_named_with_its_topic(changes: dict, words: str):
    view = View()
    info = lens_info('plumb_bob 5')
    for field, value in changes.items():
        setattr(info, field, value)
    assert view.read(info) is None and view.read(info) is None
    (level, sentence), = view.said
    assert level == Level.WARN and sentence.startswith('/front/camera_info: camera_info ')
    assert words in sentence
    good = view.read(lens_info('plumb_bob 5'))
    assert good is not None and len(view.said) == 1
    view.conditions.report()
    assert not view.conditions.report()


def test_no_info_is_said_with_the_topic():
    view = View()
    assert view.read(None) is None
    assert re.match('no message on /front/camera_info, which is to be remapped', view.said[0][1])


def test_a_sensor_binned_by_the_driver_is_full_size_divided():
    """Info of 640x480 with binning 2 belongs to an image of 320x240, without it to no such."""
    info = info_from_intrinsics(Intrinsics(430.0, 434.0, 326.9, 236.3, 640, 480), Header())
    assert View().read(info) is None
    info.binning_x = info.binning_y = 2
    found = View().read(info)
    assert found.intrinsics == Intrinsics(215.0, 217.0, (326.9 + 0.5) / 2 - 0.5,
                                          (236.3 + 0.5) / 2 - 0.5, 320, 240)


def test_zoom_and_resolution_count_at_the_next_frame():
    view = View()
    first = view.read(lens_info('plumb_bob 5'))
    assert view.read(lens_info('plumb_bob 5')) is first  # nothing is computed twice
    zoomed = lens_info('plumb_bob 5')
    zoomed.k[[0, 4]] *= 2
    zoomed.p[[0, 5]] *= 2
    second = view.read(zoomed)
    assert second.intrinsics.fx == pytest.approx(2 * first.intrinsics.fx)
    for calibration in (first, second):
        out = view.camera.output_info(calibration, *NETWORK, Header(frame_id='here'))
        assert out.p[0] == pytest.approx(calibration.intrinsics.fx)
        assert out.header.frame_id == 'here'
    pixels = picture(zoomed)
    assert shown(second, pixels).worst < 0.05
    binned = lens_info('plumb_bob 5', binning=2)
    third = view.read(binned, 160, 120)
    assert shown(third, picture(binned)).worst < 0.05
    with pytest.raises(ValueError, match='is for images of shape'):
        third.rectification.apply(pixels)


def test_the_info_of_the_images_own_stamp_counts():
    """A zoom seen while an older image waits its turn must not change that image."""
    view = View()
    for second in range(1, 4):
        info = lens_info('plumb_bob 5')
        info.header.stamp.sec = second
        info.k[0] = 200.0 + second
        info.d = [0.0] * 5
        view.camera.on_info(info)
    assert [view.read(None, stamp=s).intrinsics.fx for s in (1, 2, 3)] == [201.0, 202.0, 203.0]
    assert view.read(None, stamp=9).intrinsics.fx == 203.0  # unknown: the newest
    for second in range(10, 40):
        info = lens_info('plumb_bob 5')
        info.header.stamp.sec = second
        info.k[0] = 200.0 + second
        info.d = [0.0] * 5
        view.camera.on_info(info)
    assert view.read(None, stamp=1).intrinsics.fx == 239.0  # forgotten long ago


def test_what_no_camera_sees_is_marked():
    info = lens_info('plumb_bob 5', p_scale=0.5)
    rectification = View().read(info, size=(320, 240)).rectification
    seen = rectification.seen
    assert seen[120, 160] and not seen[0, 0] and 0.2 < seen.mean() < 0.8
    image = rectification.apply(np.full((240, 320, 3), 200, np.uint8))
    assert (image == 200).all()  # no dark frame: a network would take it for something
    picture = np.zeros((240, 320, 3), np.uint8)
    picture[:, 160:] = 255
    left, right = np.split(rectification.apply(picture), 2, axis=1)
    assert (left[:, :120] == 0).all() and (right[:, 40:] == 255).all()


@pytest.mark.parametrize('angle', [0.0, 0.3])
def test_a_polynomial_that_turns_back_shows_nothing_twice(angle: float):
    info = lens_info('plumb_bob 5', p_scale=0.3, angle=angle)
    info.d = [-0.3, 0.0, 0.0, 0.0, 0.0]  # r (1 - 0.3 r^2) turns at r = 1.054
    seen = View().read(info, size=(320, 240)).rectification.seen
    x, y = Intrinsics(info.p[0], info.p[5], info.p[2], info.p[6], 320, 240).ray_slopes()
    x, y = np.broadcast_arrays(x[None], y[:, None])
    x, y, z = np.reshape(info.r, (3, 3)).T @ np.stack([x, y, np.ones_like(x)]).reshape(3, -1)
    radius = np.where(z > 0, np.hypot(x, y) / z, np.inf).reshape(240, 320)
    assert radius[seen].max() < 1.055
    assert radius.max() > 1.9  # where the polynomial comes back into the image

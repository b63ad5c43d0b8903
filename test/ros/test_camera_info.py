"""CameraInfo: which matrix counts, region and binning, and how it follows a resize."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, RegionOfInterest
from std_msgs.msg import Header

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.camera_info import (
    CameraInfoError,
    distortion_of,
    intrinsics_from_info,
)
from dense_perception.ros.camera_info import info_from_intrinsics, pinhole_info, resized_info

CAMERA = Intrinsics(500.0, 510.0, 330.0, 250.0, 640, 480)


def info(**changes: object) -> CameraInfo:
    result = info_from_intrinsics(CAMERA, Header())
    for name, value in changes.items():
        setattr(result, name, value)
    return result


def test_pinhole_and_back():
    assert intrinsics_from_info(info(), 640, 480, rectified=False) == CAMERA
    assert intrinsics_from_info(info(), 640, 480, rectified=True) == CAMERA
    assert distortion_of(info()) is None
    bent = info(d=[0.1, 0.0, 0.0, 0.0, 0.0])
    assert distortion_of(bent).coefficients == (0.1, 0.0, 0.0, 0.0, 0.0)


def test_raw_takes_k_and_rectified_takes_p():
    stereo = info(p=[400.0, 0.0, 300.0, -40.0, 0.0, 400.0, 240.0, 0.0, 0.0, 0.0, 1.0, 0.0])
    assert intrinsics_from_info(stereo, 640, 480, rectified=False).fx == 500
    assert intrinsics_from_info(stereo, 640, 480, rectified=True).fx == 400


def test_region_then_binning():
    cut = info(binning_x=2, binning_y=2,
               roi=RegionOfInterest(x_offset=100, y_offset=60, width=400, height=300))
    found = intrinsics_from_info(cut, 200, 150, rectified=False)
    # The full sensor's pixel (u, v) lies at ((u - 100 + 0.5) / 2 - 0.5, ...) of the image.
    assert (found.fx, found.fy) == (250, 255)
    assert (found.cx, found.cy) == ((330 - 100 + 0.5) / 2 - 0.5, (250 - 60 + 0.5) / 2 - 0.5)


def test_pixels_that_fill_no_bin_are_not_in_the_image():
    """Bins of 2 x 2 on 201 x 151 pixels: the last column and row are left out, not squeezed in."""
    cut = info(binning_x=2, binning_y=2,
               roi=RegionOfInterest(x_offset=100, y_offset=60, width=201, height=151))
    found = intrinsics_from_info(cut, 100, 75, rectified=False)
    assert (found.fx, found.fy) == (250, 255)
    assert (found.cx, found.cy) == ((330 - 100 + 0.5) / 2 - 0.5, (250 - 60 + 0.5) / 2 - 0.5)
    same = resized_info(cut, (100, 75), 100, 75, Header())
    assert intrinsics_from_info(same, 100, 75, rectified=False) == found


@pytest.mark.parametrize('rectified', [False, True])
def test_do_rectify_keeps_the_window(rectified: bool):
    """As image_proc has it, whose rectified image has the window of the raw one."""
    windows = [RegionOfInterest(x_offset=100, y_offset=60, width=400, height=300, do_rectify=flag)
               for flag in (False, True)]
    plain, distinct = (intrinsics_from_info(info(roi=roi), 400, 300, rectified) for roi in windows)
    assert plain == distinct
    assert (plain.cx, plain.cy) == (230, 190)


@pytest.mark.parametrize(('changes', 'rectified', 'words'), [
    ({'k': [0.0] * 9}, False, 'K of zeros: the camera is not calibrated'),
    ({'p': [0.0] * 12}, True, 'P of zeros'),
    ({'k': [np.nan] + [0.0] * 8}, False, 'unusable K: intrinsics are not finite'),
    ({'k': [-5.0, 0.0, 3.0, 0.0, 5.0, 3.0, 0.0, 0.0, 1.0]}, False, 'must be positive'),
    ({'width': 320}, False, 'camera_info is for 320x480, the image is 640x480'),
    ({'width': 0, 'height': 0}, False, 'image size 0x0 is not positive'),
    ({'binning_x': 2}, False, r'camera_info is for 320x480 \(640x480, roi 0x0, binning 2x0\)'),
    ({'roi': RegionOfInterest(x_offset=300, width=400, height=300)}, False,
     r'a roi of 400x300 at \(300, 0\), which leaves its 640x480 pixels'),
    ({'roi': RegionOfInterest(width=400, height=300)}, False,
     'camera_info is for 400x300 .* the driver must say roi and binning')])
def test_unusable_info_gets_a_sentence(changes: dict, rectified: bool, words: str):
    with pytest.raises(CameraInfoError, match=words):
        intrinsics_from_info(info(**changes), 640, 480, rectified)


@pytest.mark.parametrize('changes', [
    {}, {'binning_x': 2, 'binning_y': 2,
         'roi': RegionOfInterest(x_offset=100, y_offset=60, width=400, height=300)}],
    ids=['full', 'region and binning'])
def test_resized_info_describes_the_resized_image(changes: dict):
    source = info(d=[0.1, 0.2, 0.0, 0.0, 0.0], **changes)
    size = (200, 150) if changes else (640, 480)
    header = Header(frame_id='camera')
    found = resized_info(source, size, 320, 256, header)
    expected = intrinsics_from_info(source, *size, rectified=False).resized(320, 256)
    assert (found.width, found.height, found.header) == (320, 256, header)
    np.testing.assert_allclose(np.take(found.k, (0, 4, 2, 5)),
                               (expected.fx, expected.fy, expected.cx, expected.cy))
    assert intrinsics_from_info(found, 320, 256, rectified=False).cx == pytest.approx(expected.cx)
    assert list(found.d) == list(source.d) and found.distortion_model == 'plumb_bob'
    assert np.array_equal(found.r, source.r)


def test_stereo_baseline_survives_the_resize():
    stereo = info(p=[400.0, 0.0, 300.0, -40.0, 0.0, 400.0, 240.0, 0.0, 0.0, 0.0, 1.0, 0.0])
    found = resized_info(stereo, (640, 480), 320, 240, Header())
    assert found.p[3] / found.p[0] == pytest.approx(-0.1)


@pytest.mark.parametrize(('rectified', 'p'), [(True, 400.0), (False, 500.0)])
def test_pinhole_info_is_the_same_camera_for_readers_of_k_and_of_p(rectified: bool, p: float):
    stereo = info(p=[400.0, 0.0, 300.0, -40.0, 0.0, 400.0, 240.0, 0.0, 0.0, 0.0, 1.0, 0.0],
                  d=[0.1, 0.2, 0.0, 0.0, 0.0], r=np.roll(np.eye(3), 1, axis=0).ravel())
    found = pinhole_info(stereo, rectified)
    assert found.k[0] == found.p[0] == p
    assert np.array_equal(found.p.reshape(3, 4)[:, :3], found.k.reshape(3, 3))
    assert found.p[3] == (-40 if rectified else 0)
    assert not np.any(found.d) and np.array_equal(found.r, np.eye(3).ravel())
    assert stereo.d[0] == 0.1  # untouched


def test_pinhole_info_keeps_the_baseline_of_a_camera_without_lens():
    stereo = info(p=[500.0, 0.0, 330.0, -40.0, 0.0, 510.0, 250.0, 0.0, 0.0, 0.0, 1.0, 0.0])
    assert pinhole_info(stereo, rectified=False).p[3] == -40


def test_empty_p_becomes_k():
    found = resized_info(info(p=[0.0] * 12), (640, 480), 320, 240, Header())
    assert np.array_equal(found.p.reshape(3, 4)[:, :3], found.k.reshape(3, 3))

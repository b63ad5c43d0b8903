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
from dense_perception.ros.camera_info import info_from_intrinsics, resized_info

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


@pytest.mark.parametrize(('changes', 'rectified', 'words'), [
    ({'k': [0.0] * 9}, False, 'K of zeros: the camera is not calibrated'),
    ({'p': [0.0] * 12}, True, 'P of zeros'),
    ({'k': [np.nan] + [0.0] * 8}, False, 'unusable K: intrinsics are not finite'),
    ({'k': [-5.0, 0.0, 3.0, 0.0, 5.0, 3.0, 0.0, 0.0, 1.0]}, False, 'must be positive'),
    ({'width': 320}, False, 'camera_info is for 320x480, the image is 640x480'),
    ({'width': 0, 'height': 0}, False, 'image size 0x0 is not positive'),
    ({'binning_x': 2}, False, 'camera_info is for 320x480')])
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


def test_empty_p_becomes_k():
    found = resized_info(info(p=[0.0] * 12), (640, 480), 320, 240, Header())
    assert np.array_equal(found.p.reshape(3, 4)[:, :3], found.k.reshape(3, 3))

"""A tiny real bag: a robot's camera over flat ground with red patches, and the exact truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rosbags.rosbag2 import Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.mount import Mount

CAMERA = Intrinsics(120.0, 120.0, 79.5, 63.5, 160, 128)
MOUNT = Mount.from_pitch_roll(0.4, 0.05, 0.6)

_MOUNT_DEFINITION = (Path(__file__).parents[2] / 'dense_perception_msgs/msg/CameraMount.msg')


def write_plane_bag(path: Path, frames: int = 20, period_s: float = 0.05,
                    without: tuple[str, ...] = (), wall: float | None = None) -> Path:
    """Write the bag: image, camera_info, camera_mount, ground_truth/depth and /mask.

    Depth beyond the horizon is NaN. A red square wanders over the ground; its pixels are class 1.
    Its edges lie on even pixels, so that half the resolution has the same classes.

    :param without: topics to leave out.
    :param wall: depth in metres of a wall across the right quarter of the true depth, which is
        not in the images.
    """
    types = get_typestore(Stores.ROS2_JAZZY)
    types.register(get_types_from_msg(_MOUNT_DEFINITION.read_text(),
                                      'dense_perception_msgs/msg/CameraMount'))
    depth = MOUNT.ground_depth(CAMERA)
    if wall is not None:
        depth[:, 3 * CAMERA.width // 4:] = np.fmin(depth[:, 3 * CAMERA.width // 4:], wall)
    with Writer(path, version=9) as writer:
        connections: dict[str, tuple] = {}

        def write(topic: str, kind: str, stamp_ns: int, **values: object) -> None:
            if topic in without:
                return
            cls = types.types[kind]
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=types)
            header = types.types['std_msgs/msg/Header'](
                stamp=types.types['builtin_interfaces/msg/Time'](
                    sec=stamp_ns // 10 ** 9, nanosec=stamp_ns % 10 ** 9),
                frame_id='camera_optical_frame')
            message = cls(header=header, **values)
            writer.write(connections[topic], stamp_ns, types.serialize_cdr(message, kind))

        for number in range(frames):
            stamp_ns = 10 ** 9 + round(number * period_s * 1e9)
            image, mask = _picture(number)
            write('/camera_info', 'sensor_msgs/msg/CameraInfo', stamp_ns, **_info(types))
            write('/camera_mount', 'dense_perception_msgs/msg/CameraMount', stamp_ns,
                  gravity=types.types['geometry_msgs/msg/Vector3'](*MOUNT.down),
                  height=MOUNT.height)
            for topic, pixels, encoding in (('/ground_truth/depth', depth, '32FC1'),
                                            ('/ground_truth/mask', mask, 'mono8'),
                                            ('/image', image, 'rgb8')):
                write(topic, 'sensor_msgs/msg/Image', stamp_ns, height=CAMERA.height,
                      width=CAMERA.width, encoding=encoding, is_bigendian=0,
                      step=pixels.nbytes // CAMERA.height,
                      data=np.ascontiguousarray(pixels).reshape(-1).view(np.uint8))
    return path


def _picture(number: int) -> tuple[np.ndarray, np.ndarray]:
    image = np.full((CAMERA.height, CAMERA.width, 3), (60, 120, 70), np.uint8)
    mask = np.zeros(image.shape[:2], np.uint8)
    left = 2 * ((7 * number) % 50)
    image[60:100, left:left + 40] = (230, 30, 30)
    mask[60:100, left:left + 40] = 1
    return image, mask


def _info(types) -> dict[str, object]:
    return {
        'height': CAMERA.height, 'width': CAMERA.width, 'distortion_model': 'plumb_bob',
        'd': np.zeros(5), 'k': np.array([CAMERA.fx, 0, CAMERA.cx, 0, CAMERA.fy, CAMERA.cy, 0, 0,
                                         1.0]),
        'r': np.eye(3).ravel(),
        'p': np.array([CAMERA.fx, 0, CAMERA.cx, 0, 0, CAMERA.fy, CAMERA.cy, 0, 0, 0, 1.0, 0]),
        'binning_x': 0, 'binning_y': 0,
        'roi': types.types['sensor_msgs/msg/RegionOfInterest'](
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)}

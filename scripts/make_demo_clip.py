"""Record the demo clip: a robot's camera driving through the procedural world, with its truth.

Needs MuJoCo (the ``world`` extra). Scenes, path and textures follow from the numbers below, and
training never sees those textures. The clip is a rosbag2 bag (mcap):

    python scripts/make_demo_clip.py dense_perception/assets/demo_clip
"""

from __future__ import annotations

import argparse
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from tqdm import tqdm

from dense_perception.world.drive import Leg, drive
from dense_perception.world.renderer import WorldFrame

WIDTH, HEIGHT, RATE = 640, 480, 15
LEGS = (Leg(5, 'street', 5.0), Leg(1, 'hall', 5.0), Leg(1, 'yard', 5.0), Leg(2, 'room', 5.0))
JPEG_QUALITY = 75
TRUTH_EVERY = 3  # truth is large and the demo measures only some of the frames
FRAME = 'camera_optical_frame'
MOUNT_DEFINITION = (Path(__file__).parent.parent / 'dense_perception_msgs/msg/CameraMount.msg')


class ClipWriter:
    """Writes world frames as ROS messages into a bag."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._store = get_typestore(Stores.ROS2_JAZZY)
        self._store.register(get_types_from_msg(MOUNT_DEFINITION.read_text(),
                                                'dense_perception_msgs/msg/CameraMount'))
        self._connections: dict[str, Any] = {}

    def add(self, frame: WorldFrame, stamp_ns: int, with_truth: bool) -> None:
        """Write one frame; truth first, so that it is there when the image is read."""
        if with_truth:
            half = np.s_[::2, ::2]
            self._write('/ground_truth/depth/compressedDepth', 'sensor_msgs/msg/CompressedImage',
                        stamp_ns, format='16UC1; compressedDepth png',
                        data=_compressed_depth(frame.depth[half]))
            labels = np.ascontiguousarray(frame.labels[half])
            self._write('/ground_truth/mask', 'sensor_msgs/msg/Image', stamp_ns,
                        height=labels.shape[0], width=labels.shape[1], encoding='mono8',
                        is_bigendian=0, step=labels.shape[1], data=labels.ravel())
        self._write('/camera_info', 'sensor_msgs/msg/CameraInfo', stamp_ns, **self._info(frame))
        self._write('/camera_mount', 'dense_perception_msgs/msg/CameraMount', stamp_ns,
                    gravity=self._type('geometry_msgs/msg/Vector3')(*frame.mount.down),
                    height=frame.mount.height)
        _, jpeg = cv2.imencode('.jpg', cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR),
                               [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        self._write('/image/compressed', 'sensor_msgs/msg/CompressedImage', stamp_ns,
                    format='jpeg', data=jpeg.ravel())

    def _type(self, name: str) -> Any:
        return self._store.types[name]

    def _write(self, topic: str, kind: str, stamp_ns: int, **values: object) -> None:
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(topic, kind,
                                                                   typestore=self._store)
        stamp = self._type('builtin_interfaces/msg/Time')(*divmod(stamp_ns, 10 ** 9))
        header = self._type('std_msgs/msg/Header')(stamp=stamp, frame_id=FRAME)
        message = self._type(kind)(header=header, **values)
        self._writer.write(self._connections[topic], stamp_ns,
                           self._store.serialize_cdr(message, kind))

    def _info(self, frame: WorldFrame) -> dict[str, object]:
        k = frame.intrinsics
        matrix = np.array([k.fx, 0, k.cx, 0, k.fy, k.cy, 0, 0, 1])
        roi = self._type('sensor_msgs/msg/RegionOfInterest')(
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
        return {'height': k.height, 'width': k.width, 'distortion_model': 'plumb_bob',
                'd': np.zeros(5), 'k': matrix, 'r': np.eye(3).ravel(),
                'p': np.insert(matrix, [3, 6, 9], 0.0), 'binning_x': 0, 'binning_y': 0,
                'roi': roi}


def _compressed_depth(depth: np.ndarray) -> np.ndarray:
    """compressed_depth_image_transport's layout: a 12-byte header, then a PNG of millimetres.

    The header is an int32 and two float32 that only its 32FC1 mode uses.
    """
    millimetres = np.where(np.isfinite(depth) & (depth < 65.5), depth * 1000, 0)
    _, png = cv2.imencode('.png', millimetres.astype(np.uint16), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    return np.concatenate([np.frombuffer(struct.pack('<iff', 0, 0.0, 0.0), np.uint8),
                           png.ravel()])


def main() -> None:
    """Record the clip; the folder must not exist."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out', type=Path)
    out = parser.parse_args().out
    if out.exists():
        raise SystemExit(f'{out} exists already; remove it first')
    frames = int(sum(leg.seconds for leg in LEGS) * RATE)
    writer = Writer(out, version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with writer:
        clip = ClipWriter(writer)
        for number, frame in enumerate(tqdm(drive(0, WIDTH, HEIGHT, RATE, legs=LEGS),
                                            total=frames, unit='frame')):
            stamp_ns = 10 ** 9 + number * 10 ** 9 // RATE
            clip.add(frame, stamp_ns, with_truth=number % TRUTH_EVERY == 0)


if __name__ == '__main__':
    main()

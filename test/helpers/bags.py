"""Messages and bags of one's own, written by rosbags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

STORE = get_typestore(Stores.ROS2_JAZZY)
IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
INFO = 'sensor_msgs/msg/CameraInfo'


def header(stamp_ns: int) -> Any:
    return STORE.types['std_msgs/msg/Header'](STORE.types['builtin_interfaces/msg/Time'](
        stamp_ns // 10**9, stamp_ns % 10**9), 'camera')


def image(stamp_ns: int, pixels: np.ndarray, encoding: str, padding: int = 0) -> Any:
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels).reshape(height, -1).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, padding)))
    return STORE.types[IMAGE](header(stamp_ns), height, width, encoding, 0, rows.shape[1],
                              rows.ravel())


def compressed(stamp_ns: int, data: bytes | np.ndarray, kind: str) -> Any:
    return STORE.types[COMPRESSED](header(stamp_ns), kind,
                                   np.frombuffer(bytes(data), np.uint8).copy())


def camera_info(stamp_ns: int, size: tuple[int, int], k: list[float],
                d: list[float] = [0.0] * 5) -> Any:
    """CameraInfo of an image of ``size`` (height, width) with these nine numbers of K."""
    region = STORE.types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)
    return STORE.types[INFO](header(stamp_ns), *size, 'plumb_bob', np.array(d), np.array(k),
                             np.eye(3).ravel(), np.zeros(12), 0, 0, region)


def write_bag(path: Path, *messages: tuple[str, str, Any], period_ns: int = 10**6,
              storage: StoragePlugin = StoragePlugin.MCAP) -> Path:
    """Write messages (topic, type, message) in this order, at times ``period_ns`` apart."""
    with Writer(path, version=9, storage_plugin=storage) as writer:
        connections: dict[str, Any] = {}
        for index, (topic, kind, message) in enumerate(messages):
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
            writer.write(connections[topic], index * period_ns,
                         STORE.serialize_cdr(message, kind))
    return path

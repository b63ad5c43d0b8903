"""A process that listens as Nav2's semantic segmentation layer does, and writes what it got.

The layer asks for mask, confidence and cloud with sensor-data QoS (best effort, volatile, depth
50), for LabelInfo reliable and transient local, takes the first three together when their stamps
are equal, and drops them while it has no LabelInfo. The first such set goes to a JSON file.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, PointCloud2
from vision_msgs.msg import LabelInfo

SENSOR_DATA = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE,
                     durability=DurabilityPolicy.TRANSIENT_LOCAL)


def main(patience_s: float, file: Path) -> int:
    rclpy.init()
    node = rclpy.create_node('semantic_layer')
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    waiting: dict[str, dict[tuple, Any]] = {'mask': {}, 'confidence': {}, 'cloud': {}}
    labels: list[LabelInfo] = []

    def keep(name: str, message: Any) -> None:
        waiting[name][message.header.stamp.sec, message.header.stamp.nanosec] = message

    for name, kind, topic in (('mask', Image, '/segmentation/mask'),
                              ('confidence', Image, '/segmentation/confidence'),
                              ('cloud', PointCloud2, '/depth/points')):
        node.create_subscription(kind, topic, lambda m, name=name: keep(name, m), SENSOR_DATA)
    node.create_subscription(LabelInfo, '/segmentation/label_info', labels.append, LATCHED)
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        executor.spin_once(timeout_sec=0.1)
        common = set.intersection(*(set(messages) for messages in waiting.values()))
        if labels and common:
            file.write_text(json.dumps(_described(
                {name: messages[max(common)] for name, messages in waiting.items()}, labels[0])))
            return 0
    print(f'no set within {patience_s} s: {len(labels)} LabelInfo, '
          f'{ {n: len(m) for n, m in waiting.items()} }', file=sys.stderr)
    return 1


def _described(messages: dict[str, Any], labels: LabelInfo) -> dict[str, Any]:
    """What the layer reads of a set."""
    return {
        'frames': sorted({message.header.frame_id for message in messages.values()}),
        'sizes': {name: [m.width, m.height] for name, m in messages.items()},
        'encodings': [messages[name].encoding for name in ('mask', 'confidence')],
        'steps': [messages[name].step for name in ('mask', 'confidence')],
        'fields': [field.name for field in messages['cloud'].fields],
        'mask': messages['mask'].data.tolist(), 'cloud': list(messages['cloud'].data),
        'point_step': messages['cloud'].point_step,
        'classes': {label.class_name: label.class_id for label in labels.class_map},
        'threshold': labels.threshold}


if __name__ == '__main__':
    sys.exit(main(float(sys.argv[1]), Path(sys.argv[2])))

"""The listener takes samples of real messages."""

from __future__ import annotations

import numpy as np
from helpers.graph import Graph
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from dense_perception.cli import observer as topics
from dense_perception.cli.observer import Observer
from dense_perception.ros.images import image_from_array
from dense_perception_msgs.msg import InferenceStatus, StageTime

PLANES = {topics.IMAGE: ('rgb8', np.zeros((4, 6, 3), np.uint8)),
          topics.DEPTH: ('32FC1', np.ones((4, 6), np.float32)),
          topics.MASK: ('mono8', np.zeros((4, 6), np.uint8)),
          topics.TRUE_DEPTH: ('32FC1', np.ones((4, 6), np.float32)),
          topics.TRUE_MASK: ('mono8', np.zeros((4, 6), np.uint8))}


def test_truth_of_a_distorted_image_is_not_held_against_rectified_outputs(graph: Graph):
    publishers = {t: graph.node.create_publisher(Image, t, 10) for t in PLANES}
    status = graph.node.create_publisher(InferenceStatus, topics.STATUS, 10)
    with Observer(graph.domain, tuple(PLANES), sample_every_s=0.01) as observer:

        def publish(*stages: str) -> None:
            stamp = graph.node.get_clock().now().to_msg()
            for topic, (encoding, pixels) in PLANES.items():
                message = image_from_array(pixels, encoding, Header())
                message.header.stamp = stamp
                publishers[topic].publish(message)
            said = InferenceStatus(stages=[StageTime(name=s) for s in ('convert', *stages)])
            said.header.stamp = stamp
            observer.spin(0.05)
            status.publish(said)
            observer.spin(0.05)

        graph.spin_until(lambda: observer.samples, 'a sample', publish)
        assert observer.samples[-1].true_depth is not None
        assert observer.samples[-1].true_labels is not None
        observer.forget()
        graph.spin_until(lambda: observer.samples, 'a sample', lambda: publish('rectify'))
        sample = observer.samples[-1]
        assert sample.true_depth is None and sample.true_labels is None
        assert sample.depth is not None and sample.labels is not None

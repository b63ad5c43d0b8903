"""The tests' own place on the graph: nothing of it stays when it is closed."""

from __future__ import annotations

from pathlib import Path

from helpers.graph import Graph
from rclpy.action import ActionClient

from dense_perception_msgs.action import BuildEngine


def test_a_closed_graph_leaves_its_domain(ros_domain: int, tmp_path: Path):
    first = Graph(ros_domain, tmp_path)
    # It refers to itself, and keeps its node on the graph until it is collected.
    client = ActionClient(first.node, BuildEngine, 'perception/build_engine')
    client.itself = client
    del client
    first.close()
    second = Graph(ros_domain, tmp_path)
    second.spin(1.0)
    assert second.node.get_node_names() == ['test']
    second.close()

"""Gives back what was created on a node since a moment."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node


class Entities:
    """Everything that is created on a node from now on: topics, timers, services, clients.

    What a library creates is caught too, which no list of one's own would do.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._before = {id(entity) for entity, _ in self._all()}

    def destroy(self) -> None:
        """Destroy it."""
        for entity, destroy in self._all():
            if id(entity) not in self._before:
                destroy(entity)

    def _all(self) -> list[tuple[Any, Any]]:
        node = self._node
        return [(entity, destroy) for entities, destroy in (
            (node.timers, node.destroy_timer), (node.subscriptions, node.destroy_subscription),
            (node.services, node.destroy_service), (node.clients, node.destroy_client),
            (node.publishers, node.destroy_publisher)) for entity in entities]

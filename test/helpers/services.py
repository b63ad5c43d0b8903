"""Calling a node's services from a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from helpers.graph import Graph
from lifecycle_msgs.srv import ChangeState, GetState

TRANSITIONS = {'configure': 1, 'cleanup': 2, 'activate': 3, 'deactivate': 4,
               'unconfigured_shutdown': 5, 'inactive_shutdown': 6, 'active_shutdown': 7}


def call(graph: Graph, kind: type, name: str, meanwhile: Callable[[], Any] | None = None,
         **fields: Any) -> Any:
    """Response of a service; ``meanwhile`` as in ``spin_until``."""
    client = graph.node.create_client(kind, name)
    graph.spin_until(client.service_is_ready, f'the service {name}')
    future = client.call_async(kind.Request(**fields))
    graph.spin_until(future.done, f'the answer of {name}', meanwhile)
    graph.node.destroy_client(client)
    return future.result()


def change_state(graph: Graph, transition: str, node: str = 'perception') -> bool:
    """Ask for a transition by its name; whether it was made."""
    request = ChangeState.Request()
    request.transition.id = TRANSITIONS[transition]
    return call(graph, ChangeState, f'{node}/change_state',
                transition=request.transition).success


def state(graph: Graph, node: str = 'perception') -> str:
    """Label of the state that a node is in."""
    return call(graph, GetState, f'{node}/get_state').current_state.label

"""Let a running node build an engine: the action ``build_engine`` with a progress bar."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import rclpy
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from tqdm import tqdm

from dense_perception.cli import interrupts
from dense_perception.cli.command import CommandError
from dense_perception.ros import dds
from dense_perception_msgs.action import BuildEngine

_DISCOVERY_S = 10.0
_CANCEL_S = 30.0


def build(args: argparse.Namespace) -> int:
    """Ask the node ``args.node``; Ctrl-C cancels the build.

    :raises CommandError: there is no such node, or it has no engine in the end.
    """
    goal = BuildEngine.Goal(model=args.model, backend=args.backend or '',
                            precision=args.precision, targets=args.target)
    with _client(f'{args.node}/build_engine') as (client, spin):
        if not client.wait_for_server(timeout_sec=_DISCOVERY_S):
            raise CommandError(f'no perception node {args.node} answers on this ROS domain')
        with tqdm(total=100, unit='%', leave=False) as bar:
            def show(message: Any) -> None:
                bar.set_description(message.feedback.message.partition(',')[0])
                bar.update(round(100 * message.feedback.progress) - bar.n)
            handle = spin(client.send_goal_async(goal, show))
            future = handle.get_result_async()
            try:
                result = spin(future).result
            except KeyboardInterrupt:
                spin(handle.cancel_goal_async(), _CANCEL_S)
                result = spin(future, _CANCEL_S).result
        if not result.success:
            raise CommandError(result.message)
    print(result.message)
    if result.images:
        print(f'against fp32 on {result.images} images: abs_rel {result.abs_rel:.4f}, '
              f'labels_differ {result.labels_differ:.4f}')
    if result.engine:
        print(f'{result.engine} on the machine of the node')
    return 0


@contextlib.contextmanager
def _client(action: str) -> Iterator[tuple[ActionClient, Callable[..., Any]]]:
    """A client of the action, and what waits for a future of it and gives its result."""
    dds.use_shipped_profile()
    context = rclpy.Context()
    context.init(args=[])  # rclpy would look for remappings among our own options
    node = rclpy.create_node('dense_perception_build_engine', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)

    def spin(future: Any, timeout_s: float | None = None) -> Any:
        with interrupts.unmasked():
            executor.spin_until_future_complete(future, timeout_s)
        if not future.done():
            raise CommandError('the node does not answer')
        return future.result()

    try:
        yield ActionClient(node, BuildEngine, action), spin
    finally:
        executor.shutdown()
        node.destroy_node()
        context.try_shutdown()

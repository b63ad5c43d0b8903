"""Several cameras: one process that shares the model against a process for each."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from dense_perception.cli.command import CommandError
from dense_perception.cli.processes import NodeGroup, free_domain
from dense_perception.ros import dds
from dense_perception.ros.images import image_from_array
from dense_perception_msgs.msg import InferenceStatus

_WARM_UP_FRAMES = 10
_BEHIND_S = 0.1  # what the load is late by more than this it does not make up for


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the benchmark."""
    parser.add_argument('--counts', type=int, nargs='+', default=[1, 2, 4], metavar='N',
                        help='numbers of cameras (default: 1 2 4)')
    parser.add_argument('--model', default='xnet_small',
                        help='shipped model or path of a model file (default: xnet_small)')
    parser.add_argument('--rate', type=float, default=5.0, metavar='HZ',
                        help='images per second of each camera (default: 5)')
    parser.add_argument('--batching', nargs='+', default=['auto'],
                        choices=('auto', 'always', 'never'),
                        help='as of multi_camera, each in turn (default: auto)')
    parser.add_argument('--duration', type=float, default=12.0, metavar='SECONDS',
                        help='how long to measure each (default: 12)')


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Load, times and counts by number of cameras, in one process and in one for each."""
    if min(args.counts) < 1 or args.rate <= 0:
        raise CommandError('there must be at least one camera, and a rate above 0')
    rows = []
    for count in args.counts:
        names = [f'camera_{i}' for i in range(count)]
        runs = [([names], batching) for batching in args.batching]
        runs += [([[name] for name in names], 'never')] if count > 1 else []
        rows += [{'cameras': count, 'processes': len(cameras), 'batching': batching}
                 | _run(cameras, batching, args) for cameras, batching in runs]
    return {'model': args.model, 'rate': args.rate, 'rows': rows}


def markdown(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    names = list(result['rows'][0])
    lines = [f'| {" | ".join(names)} |', '|---' * len(names) + '|']
    lines += [f'| {" | ".join(str(row[name]) for name in names)} |' for row in result['rows']]
    head = f'{result["model"]}, {result["rate"]} images of 640x480 per second and camera'
    return '\n'.join([head, '', *lines])


def _run(cameras: list[list[str]], batching: str, args: argparse.Namespace) -> dict[str, Any]:
    """One measurement: a process for each list of cameras."""
    with tempfile.TemporaryDirectory() as logs, NodeGroup(free_domain(), Path(logs)) as group:
        nodes = [group.start('multi_camera', {
            'cameras': names, 'model': args.model, 'batching': batching,
            'mount.height': 0.8}) for names in cameras]
        load = _Load(group.domain, [name for names in cameras for name in names], args.rate)
        try:
            group.wait_for('frames', lambda: all(
                len(s) > _WARM_UP_FRAMES for s in load.statuses), load.spin)
            load.forget()
            cpu, start = sum(n.cpu_seconds() for n in nodes), time.monotonic()
            load.spin(args.duration)
            group.check()
            cpu, seconds = sum(n.cpu_seconds() for n in nodes) - cpu, time.monotonic() - start
            return _result(load, cpu, seconds) | {
                'rss_mb': round(sum(n.resident_mb() for n in nodes))}
        finally:
            load.close()


class _Load:
    """Cameras that publish in turn, and a listener for masks and status of each."""

    def __init__(self, domain: int, cameras: list[str], rate: float) -> None:
        dds.use_shipped_profile()
        self._context = rclpy.Context()
        self._context.init(domain_id=domain)
        self._node = rclpy.create_node('load', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._period = 1 / (rate * len(cameras))
        self._publishers = [self._node.create_publisher(Image, f'{name}/image', 2)
                            for name in cameras]
        self.statuses: list[list[InferenceStatus]] = [[] for _ in cameras]
        for name, statuses in zip(cameras, self.statuses, strict=True):
            self._node.create_subscription(InferenceStatus, f'{name}/perception/status',
                                           statuses.append, 100)
            self._node.create_subscription(Image, f'{name}/segmentation/mask', lambda _: None, 2)
        noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
        self._image = image_from_array(noise, 'rgb8', Header())
        self._sent = 0
        self._due = time.monotonic()

    def spin(self, seconds: float) -> None:
        """Publish and listen for so long."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            if now >= self._due:
                self._due = max(self._due + self._period, now - _BEHIND_S)
                self._image.header.stamp = self._node.get_clock().now().to_msg()
                self._publishers[self._sent % len(self._publishers)].publish(self._image)
                self._sent += 1
            self._executor.spin_once(timeout_sec=max(0.0, min(self._due, end) - time.monotonic()))

    def forget(self) -> None:
        """Leave out what came until now."""
        for statuses in self.statuses:
            statuses.clear()

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()


def _result(load: _Load, cpu: float, seconds: float) -> dict[str, Any]:
    if not all(len(statuses) > 1 for statuses in load.statuses):
        raise CommandError('a camera fell silent while it was measured')

    def total(name: str) -> int:
        return sum(getattr(s[-1], name) - getattr(s[0], name) for s in load.statuses)

    frames = total('frames_out')
    every = [status for statuses in load.statuses for status in statuses]
    latency, age = ([round(float(v), 1) for v in np.percentile(
        [getattr(s, name) for s in every], (50, 95))] for name in ('latency_ms', 'age_ms'))
    return {'fps': round(frames / seconds, 1), 'dropped': total('dropped'),
            'latency p50 ms': latency[0], 'latency p95 ms': latency[1], 'age p95 ms': age[1],
            'cpu ms per frame': round(1e3 * cpu / max(frames, 1), 1),
            'cpu_percent': round(100 * cpu / seconds, 1)}

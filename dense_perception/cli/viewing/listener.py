"""Listens to camera and outputs on the user's graph and hands them to a viewer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile
from rclpy.validate_namespace import validate_namespace
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from dense_perception.cli import decoding
from dense_perception.cli.command import CommandError
from dense_perception.cli.viewing.viewer import Viewer
from dense_perception.geometry.camera_info import CameraInfoError, intrinsics_from_info
from dense_perception.inference.card import ClassInfo
from dense_perception.ros import dds, outputs
from dense_perception.ros.compressed import colour_from_compressed
from dense_perception.ros.images import ImageError
from dense_perception.ros.mount import mount_from_message
from dense_perception.ros.qos import LATCHED, AdaptiveSubscription
from dense_perception_msgs.msg import CameraMount, InferenceStatus, SegmentationClasses

NODE = 'dense_perception_view'
STATUS = 'perception/status'
_ADAPT_S = 0.5


class Listener:
    """A node of its own that subscribes to everything a viewer shows; a context manager.

    Publishers may come and go: subscriptions follow them, and a message that cannot be shown is
    reported and left out.

    :param complain: gets level (1 = WARN, 2 = ERROR) and sentence of what is wrong with a message
        and of what the perception node says in its diagnostics.
    :param namespace: of the perception node.
    :param remaps: rules ``name:=topic`` as for ``--ros-args -r``.
    :param compressed: take the camera's ``image/compressed``.
    :param rate: show at most so many messages of a topic per second; 0 = all.
    :raises CommandError: the namespace or a rule is none.
    """

    def __init__(self, viewer: Viewer, complain: Callable[[int, str], None], namespace: str,
                 remaps: Sequence[str], compressed: bool, rate: float) -> None:
        self._complain = complain
        self._period_s = 1 / rate if rate > 0 else 0.0
        self.shown = 0
        """Messages shown, whatever they are."""
        self._viewer = viewer
        dds.use_shipped_profile()
        self._context = rclpy.Context()
        try:
            validate_namespace(f'/{namespace.strip("/")}')
            self._context.init(args=[])  # rclpy would look for remappings among our own options
            self._node = rclpy.create_node(
                NODE, context=self._context, namespace=namespace,
                cli_args=['--ros-args', *(part for rule in remaps for part in ('-r', rule))])
        except Exception as error:  # rclpy has a type of its own for every kind of wrong name
            self._context.try_shutdown()
            raise CommandError('the namespace or a remapping cannot be used: '
                               f'{str(error).splitlines()[0]}') from None
        self._subscriptions = [AdaptiveSubscription(self._node, kind, topic, callback)
                               for topic, (kind, callback) in self._table(compressed).items()]
        self._latched = [self._node.create_subscription(kind, topic, callback, LATCHED)
                         for topic, kind, callback in (
                             (outputs.CLASSES, SegmentationClasses, self._on_classes),
                             ('camera_mount', CameraMount, self._on_mount))]
        self._node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics,
                                       QoSProfile(depth=10))
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._adapt_at = 0.0

    def spin(self, seconds: float) -> None:
        """Show what comes in this time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if time.monotonic() >= self._adapt_at:
                self._adapt_at = time.monotonic() + _ADAPT_S
                for subscription in self._subscriptions:
                    subscription.adapt()
            self._executor.spin_once(timeout_sec=left)

    def topics(self) -> list[str]:
        """Topics it listens to that have a publisher."""
        return [s.topic for s in self._subscriptions if s.publishers()]

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()

    def _table(self, compressed: bool) -> dict[str, tuple[type, Callable[[Any], None]]]:
        viewer = self._viewer
        image = ('image/compressed', CompressedImage, lambda m: viewer.camera(
            _time(m), _rgb_from_compressed(m))) if compressed else (
            'image', Image, lambda m: viewer.camera(_time(m), decoding.rgb(m)))
        entries = (
            image,
            ('camera_info', CameraInfo, lambda m: self._on_info(m, 'camera')),
            (outputs.INFO, CameraInfo, lambda m: self._on_info(m, 'outputs')),
            (outputs.DEPTH, Image, lambda m: self._on_depth(m, True)),
            (outputs.RELATIVE, Image, lambda m: self._on_depth(m, False)),
            (outputs.MASK, Image, lambda m: viewer.mask(_time(m), decoding.plane(m))),
            (outputs.POINTS, PointCloud2, lambda m: viewer.cloud(_time(m), decoding.points(m))),
            (STATUS, InferenceStatus, self._on_status))
        return {topic: (kind, self._safely(topic, show)) for topic, kind, show in entries}

    def _safely(self, topic: str, show: Callable[[Any], None]) -> Callable[[Any], None]:
        due = 0.0

        def callback(message: Any) -> None:
            nonlocal due
            now = time.monotonic()
            if now < due:
                return
            due = now + self._period_s
            try:
                show(message)
                self.shown += 1
            except (decoding.DecodeError, ImageError, CameraInfoError) as error:
                self._complain(2, f'{self._node.resolve_topic_name(topic)}: {error}')
        return callback

    def _on_depth(self, msg: Image, metric: bool) -> None:
        depth = decoding.plane(msg)
        if depth.dtype == np.uint16:
            depth = np.where(depth == 0, np.float32(np.nan), depth * np.float32(1e-3))
        self._viewer.depth(_time(msg), np.asarray(depth, np.float32), metric)

    def _on_info(self, msg: CameraInfo, of: str) -> None:
        # K of the full sensor, for whatever part of it the driver sends.
        width = (msg.roi.width or msg.width) // max(msg.binning_x, 1)
        height = (msg.roi.height or msg.height) // max(msg.binning_y, 1)
        self._viewer.intrinsics(_time(msg), of,
                                intrinsics_from_info(msg, width, height, rectified=False))

    def _on_status(self, msg: InferenceStatus) -> None:
        stages = {stage.name: stage.milliseconds for stage in msg.stages}
        self._viewer.numbers(_time(msg), {
            name: value for name, value in (('latency', msg.latency_ms), ('age', msg.age_ms),
                                            *stages.items()) if np.isfinite(value)})

    def _on_classes(self, msg: SegmentationClasses) -> None:
        self._viewer.classes([
            ClassInfo(c.id, c.name, tuple(round(255 * v) for v in (c.color.r, c.color.g,
                                                                   c.color.b)))
            for c in msg.classes])

    def _on_mount(self, msg: CameraMount) -> None:
        self._viewer.mount(mount_from_message(msg).mount)

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        name = f'{self._node.resolve_topic_name(STATUS).strip("/").rpartition("/")[0]}: state'
        for status in msg.status:
            level = int.from_bytes(status.level, 'little')
            if level and status.name == name:
                self._complain(min(level, 2), status.message)


def _time(msg: Any) -> float:
    stamp = msg.header.stamp
    return stamp.sec + stamp.nanosec * 1e-9


def _rgb_from_compressed(msg: CompressedImage) -> np.ndarray:
    pixels, order = colour_from_compressed(msg)
    return pixels if order == 'rgb' else np.ascontiguousarray(pixels[..., ::-1])

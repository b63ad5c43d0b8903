"""A light listener on the graph: every frame's stamps and status, a few frames in full."""

from __future__ import annotations

import struct
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from dense_perception.cli import decoding
from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.camera_info import intrinsics_from_info
from dense_perception.geometry.mount import Mount
from dense_perception.ros import dds
from dense_perception.ros.mount import mount_from_message
from dense_perception.ros.qos import LATCHED
from dense_perception_msgs.msg import CameraMount, InferenceStatus

IMAGE, DEPTH, RELATIVE, MASK, CLOUD, OBSTACLES = (
    'image', 'depth/image_rect', 'depth/relative', 'segmentation/mask', 'depth/points',
    'depth/obstacles')
TRUE_DEPTH, TRUE_MASK = 'ground_truth/depth', 'ground_truth/mask'
INFO = 'depth/camera_info'
OUTPUTS = (DEPTH, RELATIVE, INFO, MASK, CLOUD)

STATUS = 'perception/status'

_TYPES = dict.fromkeys((IMAGE, DEPTH, RELATIVE, MASK, TRUE_DEPTH, TRUE_MASK), Image)
_TYPES |= {CLOUD: PointCloud2, OBSTACLES: PointCloud2, INFO: CameraInfo}
# The source runs ahead of the outputs by the latency, so its messages are kept for longer.
_KEPT = dict.fromkeys((*OUTPUTS, OBSTACLES), 4) | dict.fromkeys((IMAGE, TRUE_DEPTH, TRUE_MASK), 16)
_STATUSES_TO_WAIT = 3

Stamp = tuple[int, int]


@dataclass(frozen=True)
class Sample:
    """One frame in full; what nobody published is None.

    ``seconds``: since the first output. ``image``: uint8 RGB. ``depth``, ``true_depth``: float32,
    NaN = unknown, metres (``depth`` only if ``metric``). ``labels``, ``true_labels``: uint8.
    ``intrinsics``: of ``depth``. ``mount``: as ``camera_mount`` said at the image's time.
    ``points``: structured (H, W), see ``geometry.cloud``; ``obstacles``: likewise, (1, N).
    ``stamp``: seconds and nanoseconds of the header. ``rectified``: the outputs are those of an
    image without distortion; the truth of a distorted one is then left out.
    """

    seconds: float
    image: np.ndarray
    depth: np.ndarray | None
    metric: bool
    intrinsics: Intrinsics | None
    mount: Mount | None
    labels: np.ndarray | None
    points: np.ndarray | None
    true_depth: np.ndarray | None
    true_labels: np.ndarray | None
    obstacles: np.ndarray | None = None
    stamp: Stamp = (0, 0)
    rectified: bool = False


@dataclass(frozen=True)
class Frame:
    """What the node says about one frame (InferenceStatus), in milliseconds."""

    received: float
    latency_ms: float
    age_ms: float
    stages_ms: dict[str, float]
    frames_in: int
    frames_out: int
    dropped: int
    metric: bool
    model: str
    backend: str


class Observer:
    """Subscribes to the perception node's outputs; a context manager.

    Messages are taken as bytes and only those of a sample are ever decoded, so that listening
    costs the nodes as little of the processor as it can.

    :param domain: ROS_DOMAIN_ID.
    :param topics: which of the topics above to listen to.
    :param sample_every_s: mean seconds between two samples; 0 = every frame, None = take none.
        A sample is taken of what the topics have, so without ``IMAGE`` it has no image.
    """

    def __init__(self, domain: int, topics: tuple[str, ...],
                 sample_every_s: float | None = None) -> None:
        self.frames: list[Frame] = []
        self.samples: list[Sample] = []
        self.arrival_ms: dict[str, list[float]] = {topic: [] for topic in topics}
        """Milliseconds from header stamp to arrival here, by topic."""
        self._sample_every_s = sample_every_s
        self._kept: dict[str, OrderedDict[Stamp, bytes]] = {t: OrderedDict() for t in topics}
        self._wanted: deque[tuple[Stamp, Frame, int]] = deque()
        self._next_sample = 0.0
        self._mounts: deque[tuple[Stamp, Mount | None]] = deque(maxlen=64)
        dds.use_shipped_profile()
        self._context = rclpy.Context()
        self._context.init(args=[], domain_id=domain)
        self.node = rclpy.create_node('dense_perception_observer', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._subscribe(topics)

    def spin(self, seconds: float) -> None:
        """Take in messages for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def take(self) -> list[Sample]:
        """The samples since the last time; they are not kept."""
        taken, self.samples = self.samples, []
        return taken

    def forget(self) -> None:
        """Begin anew: what was heard so far does not count."""
        self.frames.clear()
        self.samples.clear()
        for times in self.arrival_ms.values():
            times.clear()

    def __enter__(self) -> Observer:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()

    def _subscribe(self, topics: tuple[str, ...]) -> None:
        def listen(topic: str) -> None:
            quality = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=_KEPT[topic],
                                 reliability=ReliabilityPolicy.BEST_EFFORT)
            self.node.create_subscription(
                _TYPES[topic], topic, lambda data: self._on_bytes(topic, data), quality, raw=True)

        for topic in topics:
            listen(topic)
        self.node.create_subscription(InferenceStatus, STATUS, self._on_status, QoSProfile(
            history=HistoryPolicy.KEEP_LAST, depth=100))
        self.node.create_subscription(CameraMount, 'camera_mount', self._on_mount, LATCHED)

    def _on_mount(self, msg: CameraMount) -> None:
        stamp = msg.header.stamp.sec, msg.header.stamp.nanosec
        self._mounts.append((stamp, mount_from_message(msg).mount))

    def _on_bytes(self, topic: str, data: bytes) -> None:
        # Every topic here starts with a header, which starts with its stamp: CDR puts it after
        # four bytes of encapsulation.
        stamp: Stamp = struct.unpack_from('<iI', data, 4)
        now = self.node.get_clock().now().nanoseconds
        self.arrival_ms[topic].append((now - stamp[0] * 10 ** 9 - stamp[1]) / 1e6)
        if self._sample_every_s is not None:
            kept = self._kept[topic]
            kept[stamp] = data
            if len(kept) > _KEPT[topic]:
                kept.popitem(last=False)

    def _on_status(self, msg: InferenceStatus) -> None:
        stages = {stage.name: stage.milliseconds for stage in msg.stages}
        frame = Frame(time.monotonic(), msg.latency_ms, msg.age_ms, stages, msg.frames_in,
                      msg.frames_out, msg.dropped, msg.metric, msg.model, msg.backend)
        self.frames.append(frame)
        if self._sample_every_s is None:
            return
        stamp = msg.header.stamp.sec, msg.header.stamp.nanosec
        if self._is_due(frame.received, stamp):
            self._wanted.append((stamp, frame, len(self.frames)))
        for wanted in tuple(self._wanted):
            if self._try_sample(*wanted):
                self._wanted.remove(wanted)

    def _is_due(self, now: float, stamp: Stamp) -> bool:
        """Time for a sample, and of a frame with truth where only some frames have it."""
        if not self._sample_every_s:
            return True
        truth = [self._kept[topic] for topic in (TRUE_DEPTH, TRUE_MASK) if self._kept.get(topic)]
        has_truth = not truth or any(stamp in kept for kept in truth)
        patience = 0.0 if has_truth else self._sample_every_s
        return not self._wanted and now >= self._next_sample + patience

    def _try_sample(self, stamp: Stamp, frame: Frame, index: int) -> bool:
        """Take the sample once each output that speaks has it, or give up on what is late.

        :returns: whether that is settled.
        """
        found = {topic: kept[stamp] for topic, kept in self._kept.items() if stamp in kept}
        speaking = {topic for topic, kept in self._kept.items() if kept}
        # What the source sends is there before the outputs, or never comes.
        depth = {DEPTH, CLOUD, OBSTACLES} if frame.metric else {RELATIVE}
        due = speaking & (depth | {MASK, INFO})
        late = len(self.frames) - index >= _STATUSES_TO_WAIT
        if not found.keys() >= due and not late:
            return False
        if (IMAGE in found or IMAGE not in self._kept) and found.keys() & {DEPTH, RELATIVE, MASK}:
            assert self._sample_every_s is not None
            # Uneven steps (the golden ratio's multiples): even ones would meet the same few
            # pictures of a folder that is played in a loop again and again.
            step = 0.5 + (0.618034 * len(self.samples)) % 1
            self._next_sample = frame.received + step * self._sample_every_s
            rectified = 'rectify' in frame.stages_ms
            if rectified:
                # The truth is that of the distorted image, pixel by pixel: no comparison.
                found = {t: data for t, data in found.items() if t not in (TRUE_DEPTH, TRUE_MASK)}
            self.samples.append(replace(
                _decode(frame.received - self.frames[0].received, found, self._mount_at(stamp)),
                stamp=stamp, rectified=rectified))
        return True

    def _mount_at(self, stamp: Stamp) -> Mount | None:
        """The mount that held at that time: each message says when it began to."""
        held = [mount for since, mount in self._mounts if since <= stamp]
        return held[-1] if held else None


def _decode(seconds: float, found: dict[str, bytes], mount: Mount | None) -> Sample:
    messages = {topic: deserialize_message(data, _TYPES[topic]) for topic, data in found.items()}

    def get(topic: str, decode: Callable[[Any], Any] = decoding.plane) -> Any:
        return decode(messages[topic]) if topic in messages else None

    depth = get(DEPTH)
    return Sample(
        seconds=seconds, image=get(IMAGE, decoding.rgb), mount=mount,
        depth=get(RELATIVE) if depth is None else depth, metric=depth is not None,
        intrinsics=get(INFO, _intrinsics), labels=get(MASK), points=get(CLOUD, decoding.points),
        true_depth=get(TRUE_DEPTH), true_labels=get(TRUE_MASK),
        obstacles=get(OBSTACLES, decoding.points))


def _intrinsics(info: CameraInfo) -> Intrinsics:
    return intrinsics_from_info(info, info.width, info.height, rectified=False)

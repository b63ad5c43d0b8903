"""Plays a bag to the graph and remembers what it played."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from dense_perception.cli.observer import IMAGE, Stamp
from dense_perception.geometry.mount import Mount
from dense_perception.ros import qos
from dense_perception.ros.camera_info import info_from_intrinsics
from dense_perception.ros.mount import message_from_mount
from dense_perception.ros.publishing import OutputPublisher
from dense_perception.sources.bag import Bag
from dense_perception.sources.base import Frame, SourceError
from dense_perception_msgs.msg import CameraMount

_KEPT = 12
_FRAME_ID = 'camera_optical_frame'


class Player:
    """A camera made of a bag, in this process, so that no truth has to travel.

    :param node: publishes.
    :param rate: images per second; 0 = as recorded.
    """

    def __init__(self, node: Node, bag: Bag, rate: float) -> None:
        self.played: OrderedDict[Stamp, Frame] = OrderedDict()
        """The last frames by the stamp of their image."""
        self.sent = 0
        self.error: SourceError | None = None
        self._node = node
        self._bag = bag
        self._rate = rate
        self._images = OutputPublisher(node, Image, IMAGE)
        self._infos = OutputPublisher(node, CameraInfo, 'camera_info')
        self._mounts = node.create_publisher(CameraMount, 'camera_mount', qos.LATCHED)
        self._mount: Mount | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name='player', daemon=True)

    @property
    def heard(self) -> bool:
        """Whether somebody listens to the camera."""
        return self._images.wanted and self._infos.wanted

    @property
    def playing(self) -> bool:
        """Whether frames are still to come."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to play."""
        self._thread.start()

    def stop(self) -> None:
        """Play no more."""
        self._stopped.set()
        if self.playing:
            self._thread.join()

    def _work(self) -> None:
        try:
            for frame in self._paced():
                if self._stopped.is_set():
                    return
                self._publish(frame)
        except SourceError as error:
            self.error = error

    def _paced(self) -> Iterator[Frame]:
        due, previous_ns = time.monotonic(), None
        for frame in self._bag.frames():
            step = 1 / self._rate if self._rate else \
                max(frame.stamp_ns - (previous_ns or frame.stamp_ns), 0) * 1e-9
            previous_ns = frame.stamp_ns
            due = max(due + step, time.monotonic())  # a late frame makes no burst
            self._stopped.wait(due - time.monotonic())
            yield frame

    def _publish(self, frame: Frame) -> None:
        header = Header(stamp=self._node.get_clock().now().to_msg(), frame_id=_FRAME_ID)
        self.played[header.stamp.sec, header.stamp.nanosec] = frame
        while len(self.played) > _KEPT:
            self.played.popitem(last=False)
        if frame.mount != self._mount:
            self._mount = frame.mount
            self._mounts.publish(message_from_mount(frame.mount, header))
        # Before the image, so that whoever gets the image already has what belongs to it.
        self._infos.publish(info_from_intrinsics(frame.intrinsics, header, frame.distortion))
        self._images.publish_array(frame.image, 'rgb8', header)
        self.sent += 1

"""The image source node: a source's frames as topics of a camera."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial

from rclpy.node import Node
from rclpy.task import Future
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from dense_perception.geometry.mount import Mount
from dense_perception.ros import qos
from dense_perception.ros.camera_info import info_from_intrinsics
from dense_perception.ros.conditions import Level
from dense_perception.ros.diagnostics import logger_of
from dense_perception.ros.executable import FatalError
from dense_perception.ros.mount import message_from_mount
from dense_perception.ros.parameters import Declaration, Parameters
from dense_perception.ros.publishing import OutputPublisher
from dense_perception.sources.base import Frame, Source, SourceError, resized
from dense_perception.sources.opening import KINDS, open_source
from dense_perception.sources.remembered import Remembered
from dense_perception_msgs.msg import CameraMount

PARAMETERS = (
    Declaration('source', 'demo', f'What is played: {KINDS}.'),
    Declaration('rate', 0.0, "Frames per second; 0 = the source's own (pictures: 10).",
                minimum=0.0, maximum=1000.0),
    Declaration('loop', True, 'Start again at the end of the source.'),
    Declaration('memory_mb', 0, 'Megabytes for decoded frames, so that a loop decodes them once; '
                '0 = none. What does not fit is decoded in every round.', minimum=0,
                maximum=65536),
    Declaration('frame_id', 'camera_optical_frame', 'Optical frame of the images.'),
    Declaration('horizontal_fov', 60.0, 'Horizontal field of view in degrees, assumed where the '
                'source has no calibration.', minimum=1.0, maximum=175.0),
    Declaration('width', 0, "Width of the images; 0 = the source's own.", minimum=0,
                maximum=16384),
    Declaration('height', 0, 'Height of the images; 0 with width 0 only.', minimum=0,
                maximum=16384))

_PICTURE_PERIOD_S = 0.1
_SUBSCRIBER_POLL_S = 0.05
_LAST_FRAME_PATIENCE_S = 2.0


class ImageSourceNode:
    """See docs/nodes.md for topics and parameters.

    :raises FatalError: a parameter or the source cannot be used.
    """

    def __init__(self) -> None:
        self.node = Node('image_source')
        self.nodes = (self.node,)
        self.finished = Future()
        self._parameters = Parameters(self.node, PARAMETERS)
        for sentence in self._parameters.unknown().values():
            self.node.get_logger().warning(sentence)
        self._source = self._open()
        self._publishers = {
            topic: OutputPublisher(self.node, kind, topic)
            for topic, kind in (('image', Image), ('camera_info', CameraInfo),
                                ('ground_truth/depth', Image), ('ground_truth/mask', Image))}
        self._mounts = self.node.create_publisher(CameraMount, 'camera_mount', qos.LATCHED)
        self._mount: Mount | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name='player', daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop playing."""
        self._stopped.set()
        self._thread.join()

    def _open(self) -> Source:
        p = self._parameters
        if (p['width'] == 0) != (p['height'] == 0):
            raise FatalError('parameters width and height must both be given, or both be 0')
        try:
            source = open_source(p['source'], horizontal_fov=p['horizontal_fov'],
                                 width=p['width'], height=p['height'], rate=p['rate'],
                                 warn=partial(logger_of(self.node), Level.WARN))
        except SourceError as error:
            raise FatalError(str(error)) from None
        return Remembered(source, p['memory_mb']) if p['loop'] and p['memory_mb'] else source

    def _work(self) -> None:
        try:
            self._play()
            self.finished.set_result(None)
        except SourceError as error:
            self.finished.set_exception(FatalError(str(error)))
        except Exception as error:
            # After a stop signal publishing fails at any point, and nobody is interested.
            if self.node.context.ok():
                self.finished.set_exception(error)

    def _play(self) -> None:
        self.node.get_logger().info(
            f'{self._parameters["source"]} plays as soon as somebody subscribes to '
            f'{self._publishers["image"].topic}')
        while not self._publishers['image'].wanted:
            if self._stopped.wait(_SUBSCRIBER_POLL_S):
                return
        for frame in self._paced():
            if self._stopped.is_set():
                return
            self._publish(resized(frame, self._parameters['width'], self._parameters['height']))
        self._publishers['image'].wait_until_received(_LAST_FRAME_PATIENCE_S)

    def _paced(self) -> Iterator[Frame]:
        """Frames of the source, each at its time; over and over if ``loop`` is set."""
        due = time.monotonic()
        while True:
            previous_ns, frame = None, None
            for frame in self._source.frames():
                if not self._source.live:
                    # A late frame delays those after it: catching up would make a burst.
                    due = max(due + self._period_s(previous_ns, frame.stamp_ns), time.monotonic())
                    self._stopped.wait(due - time.monotonic())
                    previous_ns = frame.stamp_ns
                yield frame
            if frame is None:
                raise SourceError(f'{self._parameters["source"]} has no image that can be read')
            if not self._parameters['loop']:
                return

    def _period_s(self, previous_ns: int | None, stamp_ns: int | None) -> float:
        """Seconds between two frames with these stamps on the source's clock."""
        if self._parameters['rate'] > 0:
            return 1 / self._parameters['rate']
        if previous_ns is None or stamp_ns is None:
            return _PICTURE_PERIOD_S
        return max(stamp_ns - previous_ns, 0) * 1e-9

    def _publish(self, frame: Frame) -> None:
        header = Header(stamp=self.node.get_clock().now().to_msg(),
                        frame_id=self._parameters['frame_id'])
        if frame.mount != self._mount:
            self._mount = frame.mount
            self._mounts.publish(message_from_mount(frame.mount, header))
        # Before the image, so that whoever gets the image already has what belongs to it.
        self._publishers['camera_info'].publish(
            info_from_intrinsics(frame.intrinsics, header, frame.distortion))
        for topic, pixels, encoding in (('ground_truth/depth', frame.depth, '32FC1'),
                                        ('ground_truth/mask', frame.labels, 'mono8'),
                                        ('image', frame.image, 'rgb8')):
            if pixels is not None and self._publishers[topic].wanted:
                self._publishers[topic].publish_array(pixels, encoding, header)

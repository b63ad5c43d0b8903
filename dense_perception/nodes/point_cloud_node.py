"""The point cloud node: depth of any source, with colours and classes, as organised clouds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from dense_perception.ros import camera, cloud_settings, mount, outputs
from dense_perception.ros.cloud_settings import FROM_CLOUDS, KEEP
from dense_perception.ros.conditions import Conditions, Level
from dense_perception.ros.depth_clouds import DepthClouds, Parts
from dense_perception.ros.diagnostics import Diagnostics, logger_of
from dense_perception.ros.encodings import ImageError
from dense_perception.ros.parameters import Declaration, Parameters
from dense_perception.ros.publishing import OutputPublisher
from dense_perception.ros.qos import LATCHED, AdaptiveSubscription
from dense_perception.ros.statistics import Statistics
from dense_perception.ros.synchronising import synchronised
from dense_perception.ros.transforms import NoTransforms, open_transforms
from dense_perception.ros.worker import Worker
from dense_perception_msgs.msg import SegmentationClasses

PARAMETERS = (
    Declaration('colour', True, 'Give the points the colours of the topic image.'),
    Declaration('mask', False, 'Give the points the classes of the topic segmentation/mask.'),
    Declaration('sync.slop', 0.0, 'Seconds by which the stamps of depth, image and mask may '
                'differ; 0 = not at all.', minimum=0.0, maximum=10.0),
    Declaration('sync.queue_size', 10, 'Messages of each topic that wait for the others.',
                minimum=1, maximum=1000),
    camera.PARAMETERS[0],
    # Depth is not touched, and comes without confidence.
    *(replace(d, choices=(KEEP, FROM_CLOUDS)) if d.name == 'flying_pixels' else d
      for d in cloud_settings.PARAMETERS if d.name != 'cloud.min_confidence'),
    *(d for d in mount.PARAMETERS))

_CLOUDS = (outputs.POINTS, outputs.OBSTACLES, outputs.GROUND)
_ADAPT_PERIOD_S = 0.5
_SILENCE_S = 2.0


class PointCloudNode:
    """See docs/nodes.md for topics, parameters and diagnostics.

    :raises FatalError: a parameter cannot be used.
    """

    def __init__(self) -> None:
        self.node = Node('point_cloud')
        self.nodes = (self.node,)
        self.finished = Future()
        self._parameters = p = Parameters(self.node, PARAMETERS)
        self._parameters.demand(cloud_settings.contradiction)
        self._conditions = Conditions(logger_of(self.node))
        self._publishers = {name: OutputPublisher(self.node, PointCloud2, name)
                            for name in _CLOUDS}
        transforms = open_transforms(self.node) if mount.needs_transforms(p) else NoTransforms()
        depth_topic = self.node.resolve_topic_name(outputs.DEPTH)
        lens = camera.Camera(self._conditions, depth_topic,
                             self.node.resolve_topic_name(outputs.INFO), p['image_geometry'],
                             'never')
        self._mounts = mount.MountProvider(self.node, p, transforms)
        self._clouds = DepthClouds(p, lens, self._mounts)
        self._worker = Worker()
        self._mailbox = self._worker.join(self._handle)
        self._statistics = Statistics(lambda: self._mailbox.replaced)
        self._heard = time.monotonic()
        self._open_inputs(lens)
        for sentence in p.unknown().values():
            self.node.get_logger().warning(sentence)
        self._diagnostics = Diagnostics(self.node, self._conditions, self._describe)

    def close(self) -> None:
        """Stop the worker thread."""
        self._worker.close()

    def _open_inputs(self, lens: camera.Camera) -> None:
        topics = [outputs.DEPTH] + ['image'] * self._parameters['colour'] \
            + [outputs.MASK] * self._parameters['mask']
        inputs = synchronised(len(topics), self._parameters['sync.queue_size'],
                              self._parameters['sync.slop'], self._on_set)
        self._images = [AdaptiveSubscription(self.node, Image, topic, put)
                        for topic, put in zip(topics, inputs, strict=True)]
        self._info = AdaptiveSubscription(self.node, CameraInfo, outputs.INFO, lens.on_info)
        if self._parameters['mask']:
            self.node.create_subscription(SegmentationClasses, outputs.CLASSES,
                                          self._clouds.on_classes, LATCHED)
        self._timer = self.node.create_timer(_ADAPT_PERIOD_S, self._adapt,
                                             clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._adapt()

    def _adapt(self) -> None:
        """Listen while somebody listens to us, the way the publishers publish."""
        wanted = bool(self._wanted())
        self._mounts.listen(wanted)
        if wanted and not self._images[0].open:
            self._heard = time.monotonic()
        for subscription in (self._info, *self._images):
            (subscription.adapt if wanted else subscription.close)()

    def _wanted(self) -> frozenset[str]:
        return frozenset(name for name, p in self._publishers.items() if p.wanted)

    def _on_set(self, depth: Image, *others: Image) -> None:
        self._heard = time.monotonic()
        self._statistics.arrived()
        colour = others[0] if self._parameters['colour'] else None
        mask = others[-1] if self._parameters['mask'] else None
        self._mailbox.put(Parts(depth, colour, mask))

    def _handle(self, parts: Parts) -> None:
        try:
            self._work(parts)
        except Exception as error:
            # After a stop signal publishing fails at any point, and nobody is interested.
            if self.node.context.ok() and not self.finished.done():
                self.finished.set_exception(error)

    def _work(self, parts: Parts) -> None:
        start = time.perf_counter()
        wants = outputs.wanted_clouds(self._wanted())
        try:
            clouds = self._clouds.build(parts, wants)
        except ImageError as error:
            self._statistics.refused(str(error))
            self._conditions.raise_('image', Level.ERROR, f'image refused: {error}')
            return
        self._conditions.clear('image')
        self._say('ground', clouds.split_failed and (
            'no depth/obstacles and depth/ground: no class tells the ground, the mount is '
            'unknown, and no plane in view can be the ground'))
        built = time.perf_counter()
        for name, points in zip(_CLOUDS, (clouds.points, clouds.obstacles, clouds.ground),
                                strict=True):
            if points is not None:
                self._publishers[name].publish_array(points, '', parts.depth.header)
        self._statistics.timed({'geometry': 1e3 * (built - start),
                                'publish': 1e3 * (time.perf_counter() - built)})
        self._statistics.published()

    def _describe(self) -> tuple[str, Mapping[str, str]]:
        listening = self._images[0].open
        silent = listening and time.monotonic() - self._heard > _SILENCE_S
        counts = ', '.join(f'{len(s.publishers())} publishers on {s.topic}' for s in self._images)
        self._say('silence', silent and (
            f'no images that belong together come ({counts}); sync.slop allows '
            f'{self._parameters["sync.slop"]} s between their stamps'))
        self._say('input_qos', '; '.join(filter(None, (
            s.mismatch() for s in (*self._images, self._info)))))
        return ('running' if listening else 'idle: nobody subscribes to an output',
                self._statistics.describe())

    def _say(self, condition: str, sentence: str | bool) -> None:
        if sentence:
            self._conditions.raise_(condition, Level.WARN, str(sentence))
        else:
            self._conditions.clear(condition)

"""The perception node: wires topics, mailbox, worker thread and outputs together."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from functools import partial

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from dense_perception.inference.backends import BACKENDS, PRECISIONS, BackendError
from dense_perception.inference.model_file import ModelFileError
from dense_perception.inference.predictor import Predictor
from dense_perception.ros import camera, cloud_settings, metres, scale
from dense_perception.ros.conditions import Conditions, Level
from dense_perception.ros.diagnostics import Diagnostics, logger_of
from dense_perception.ros.executable import FatalError
from dense_perception.ros.frames import FrameWorker
from dense_perception.ros.mailbox import Mailbox
from dense_perception.ros.outputs import Outputs
from dense_perception.ros.parameters import Declaration, Parameters
from dense_perception.ros.qos import AdaptiveSubscription
from dense_perception.ros.statistics import Statistics

PARAMETERS = (
    Declaration('model', 'xnet_small', 'Name of a shipped model or path of a model file.'),
    Declaration('backend', 'auto', 'Runtime that runs the model.', choices=('auto', *BACKENDS)),
    Declaration('precision', 'fp32', 'Least precise arithmetic that the backend may use.',
                choices=PRECISIONS),
    Declaration('threads', 0, 'CPU threads of the backend; 0 = one per core this process may use.',
                minimum=0, maximum=1024),
    Declaration('input_transport', 'raw', 'raw subscribes to image, compressed to '
                'image/compressed (JPEG or PNG).', choices=('raw', 'compressed')),
    *camera.PARAMETERS,
    Declaration('output_size', 'model', 'Size of depth, masks and cloud: model = that of the '
                'network, camera = that of the image (nearest neighbour).',
                choices=('model', 'camera')),
    *cloud_settings.PARAMETERS,
    *metres.PARAMETERS)

_ADAPT_PERIOD_S = 0.5
_SILENCE_S = 2.0


class PerceptionNode:
    """See docs/nodes.md for topics, parameters and diagnostics.

    :raises FatalError: a parameter or the model file cannot be used.
    """

    def __init__(self) -> None:
        self.node = Node('perception')
        self.finished = Future()
        self._parameters = Parameters(self.node, PARAMETERS)
        self._parameters.demand(cloud_settings.contradiction)
        self._predictor = _load(self._parameters, self.node)
        self._parameters.demand(partial(cloud_settings.unsuited, self._predictor.card))
        self._conditions = Conditions(logger_of(self.node))
        self._statistics = Statistics()
        self._mailbox: Mailbox[tuple[Image | CompressedImage, float]] = Mailbox()
        card = self._predictor.card
        self._outputs = Outputs(self.node, card, scale.may_scale(self._parameters, card))
        self._outputs.publish_classes()
        self._metres = metres.Metres(self.node, self._parameters, card, self._conditions)
        self._open_inputs()
        self._worker = FrameWorker(
            self.node, self._parameters, self._predictor, self._image.topic, self._camera,
            self._metres, self._outputs, self._mailbox, self._statistics, self._conditions)
        self._diagnostics = Diagnostics(self.node, self._predictor.card.name, self._conditions,
                                        self._describe)
        self._thread = threading.Thread(target=self._work, name='frames', daemon=True)
        self._thread.start()
        self.node.get_logger().info(
            f'model {self._predictor.card.name} on {self._predictor.backend}, images from '
            f'{self._image.topic}')

    def close(self) -> None:
        """Stop the worker thread."""
        self._mailbox.close()
        self._thread.join()

    def _open_inputs(self) -> None:
        compressed = self._parameters['input_transport'] == 'compressed'
        image_topic = self.node.resolve_topic_name('image')
        self._image = AdaptiveSubscription(
            self.node, CompressedImage if compressed else Image,
            f'{image_topic}/compressed' if compressed else image_topic, self._on_image)
        self._heard = time.monotonic()
        info_topic = self.node.resolve_topic_name('camera_info')
        self._camera = camera.Camera(
            self._conditions, image_topic, info_topic, self._parameters['image_geometry'],
            self._parameters['rectify'])
        self._info = AdaptiveSubscription(self.node, CameraInfo, info_topic, self._camera.on_info)
        self._timer = self.node.create_timer(_ADAPT_PERIOD_S, self._adapt,
                                             clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._adapt()

    def _adapt(self) -> None:
        """Listen to the camera while somebody listens to us, the way it publishes."""
        self._metres.listen(bool(self._outputs.wanted()))
        if self._outputs.wanted():
            if not self._image.open:
                self._heard = time.monotonic()
            self._info.adapt()
            self._image.adapt()
        else:
            self._image.close()
            self._info.close()

    def _on_image(self, msg: Image | CompressedImage) -> None:
        self._heard = time.monotonic()
        if not self._outputs.wanted():
            return
        self._statistics.arrived()
        self._mailbox.put((msg, self._heard))

    def _work(self) -> None:
        try:
            self._worker.run()
        except Exception as error:
            # After a stop signal publishing fails at any point, and nobody is interested.
            if self.node.context.ok():
                self.finished.set_exception(error)

    def _describe(self) -> tuple[str, Mapping[str, str]]:
        self._check_inputs()
        self._outputs.publish_classes()
        counts = self._statistics.counts()
        values = {
            'model': self._predictor.card.name, 'model_sha256': self._predictor.model.sha256,
            'backend': self._predictor.backend,
            'backend_state': self._predictor.backend_state, 'backend_skipped': '; '.join(
                f'{name}: {why}' for name, why in self._predictor.skipped.items()),
            **self._worker.describe(),
            'frames_in': str(counts.frames_in), 'frames_out': str(counts.frames_out),
            'dropped': str(self._mailbox.replaced), 'refused': str(counts.refused),
            'last_refusal': self._statistics.last_refusal}
        for name, (p50, p95) in self._statistics.percentiles().items():
            values |= {f'{name}_ms_p50': f'{p50:.2f}', f'{name}_ms_p95': f'{p95:.2f}'}
        return ('running' if self._image.open else 'idle: nobody subscribes to an output'), values

    def _check_inputs(self) -> None:
        publishers = self._image.publishers()
        if len(publishers) > 1:
            self._conditions.raise_(
                'publishers', Level.WARN, f'{len(publishers)} publishers on {self._image.topic} '
                f'({", ".join(publishers)}): their frames get mixed; remap all but one')
        else:
            self._conditions.clear('publishers')
        if self._image.open and time.monotonic() - self._heard > _SILENCE_S:
            self._conditions.raise_(
                'silence', Level.WARN, f'no image comes on {self._image.topic} '
                f'({len(publishers)} publishers); is the camera running, and "image" remapped '
                'to its topic?')
        else:
            self._conditions.clear('silence')


def _load(parameters: Parameters, node: Node) -> Predictor:
    try:
        return Predictor(parameters['model'], parameters['backend'], parameters['threads'],
                         parameters['precision'], node.get_logger().info)
    except (ModelFileError, BackendError) as error:
        raise FatalError(str(error)) from None

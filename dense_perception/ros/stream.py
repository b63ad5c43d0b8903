"""One camera's stream through the perception node, from its topics to the outputs."""

from __future__ import annotations

import time

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from dense_perception.inference.batches import Frame
from dense_perception.inference.predictor import Predictor
from dense_perception.ros import camera, metres, scale
from dense_perception.ros.conditions import Conditions, Level
from dense_perception.ros.entities import Entities
from dense_perception.ros.frames import FrameProcessor, Message
from dense_perception.ros.gate import Gate
from dense_perception.ros.mailbox import Mailbox
from dense_perception.ros.outputs import Outputs
from dense_perception.ros.parameters import Parameters
from dense_perception.ros.qos import AdaptiveSubscription
from dense_perception.ros.statistics import Statistics

_ADAPT_PERIOD_S = 0.5
# Until the first image, but not for long: half a second of waiting is much of a start.
_EAGER_PERIOD_S, _EAGER_FOR_S = 0.05, 5.0
_SILENCE_S = 2.0

Arrival = tuple[Message, float]
"""A message and when it came, on the monotonic clock."""


class Stream:
    """Inputs, outputs and what is between them, made for one model that may be changed.

    It listens to the camera while it is open and somebody listens to it. ``handle`` runs in the
    worker's threads, everything else in the executor's.

    :param mailbox: where images are left for the worker.
    """

    def __init__(self, node: Node, parameters: Parameters, predictor: Predictor,
                 mailbox: Mailbox[Arrival], statistics: Statistics,
                 conditions: Conditions) -> None:
        self._entities = Entities(node)
        self._parameters = parameters
        self._mailbox = mailbox
        self._statistics = statistics
        self._conditions = conditions
        self._gate = Gate()
        self._open = False
        self._heard = time.monotonic()
        self._eager_until = 0.0
        compressed = parameters['input_transport'] == 'compressed'
        image_topic = node.resolve_topic_name('image')
        self._image = AdaptiveSubscription(
            node, CompressedImage if compressed else Image,
            f'{image_topic}/compressed' if compressed else image_topic, self._on_image)
        info_topic = node.resolve_topic_name('camera_info')
        lens = camera.Camera(conditions, image_topic, info_topic, parameters['image_geometry'],
                             parameters['rectify'])
        self._info = AdaptiveSubscription(node, CameraInfo, info_topic, lens.on_info)
        self.predictor = predictor
        self._outputs = Outputs(node)
        self._offer()
        self.metres = metres.Metres(node, parameters, predictor.card, conditions)
        self._processor = FrameProcessor(node, parameters, predictor, self._image.topic, lens,
                                         self.metres, self._outputs, statistics, conditions)
        self._timer = node.create_timer(_ADAPT_PERIOD_S, self._adapt,
                                        clock=Clock(clock_type=ClockType.STEADY_TIME))

    @property
    def topic(self) -> str:
        """Resolved name of the image topic."""
        return self._image.topic

    @property
    def listening(self) -> bool:
        """True while it hears the camera: it is open, and somebody wants an output."""
        return self._image.open

    def open(self) -> None:
        """Begin to work."""
        self._open = True
        self._eager_until = time.monotonic() + _EAGER_FOR_S
        self._outputs.publish_classes()
        self._adapt()

    def close(self) -> None:
        """Stop to work; nothing is published afterwards."""
        self._open = False
        self._adapt()
        with self._gate.alone():  # the frames in work are the last
            self._mailbox.clear()

    def destroy(self) -> None:
        """Stop, and withdraw all topics."""
        self.close()
        self._entities.destroy()

    def serve(self, predictor: Predictor) -> None:
        """Go over to another model between two frames; topics that both have stay as they are."""
        with self._gate.alone():
            self.predictor = predictor
            self._offer()
            self.metres.serve(predictor.card)
            self._processor.serve(predictor)
            if self._open:
                self._outputs.publish_classes()
        self._adapt()

    def handle(self, arrival: Arrival) -> Frame[None]:
        """The work on one image, for the worker's threads."""
        with self._gate.frame():
            if self._open:
                yield from self._processor.process(*arrival)
            else:
                self._statistics.discarded()

    def describe(self) -> dict[str, str]:
        """Diagnostics values; says as conditions what is wrong with the inputs."""
        self._check_inputs()
        if self._open:
            self._outputs.publish_classes()
        return self._processor.describe()

    def _offer(self) -> None:
        card = self.predictor.card
        self._outputs.offer(card, scale.may_scale(self._parameters, card))

    def _adapt(self) -> None:
        """Listen to the camera while somebody listens to us, the way it publishes."""
        wanted = self._open and bool(self._outputs.wanted())
        self.metres.listen(wanted)
        if wanted:
            if not self._image.open:
                self._heard = time.monotonic()
            self._info.adapt()
            self._image.adapt()
        else:
            self._image.close()
            self._info.close()
        self._set_pace()

    def _set_pace(self) -> None:
        eager = self._open and time.monotonic() < self._eager_until
        period_ns = round(1e9 * (_EAGER_PERIOD_S if eager else _ADAPT_PERIOD_S))
        if self._timer.timer_period_ns != period_ns:
            self._timer.timer_period_ns = period_ns
            self._timer.reset()  # else the period that has begun would last as long as before

    def _on_image(self, msg: Message) -> None:
        self._heard = time.monotonic()
        self._eager_until = 0.0
        if not self._outputs.wanted():
            return
        self._statistics.arrived()
        self._mailbox.put((msg, self._heard))

    def _check_inputs(self) -> None:
        publishers = self._image.publishers()
        self._say('publishers', len(publishers) > 1 and (
            f'{len(publishers)} publishers on {self.topic} ({", ".join(publishers)}): their '
            'frames get mixed; remap all but one'))
        silent = self._image.open and time.monotonic() - self._heard > _SILENCE_S
        self._say('silence', silent and (
            f'no image comes on {self.topic} ({len(publishers)} publishers); is the camera '
            'running, and "image" remapped to its topic?'))

        self._say('input_qos', '; '.join(filter(None, (
            self._image.mismatch(), self._info.mismatch()))))
        self._say('output_qos', self._outputs.mismatch())

    def _say(self, condition: str, sentence: str | bool) -> None:
        if sentence:
            self._conditions.raise_(condition, Level.WARN, str(sentence))
        else:
            self._conditions.clear(condition)

"""What happens to one image: decoded, rectified, predicted, published, reported."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from dense_perception.inference.backends import BackendError
from dense_perception.inference.batches import Frame
from dense_perception.inference.predictor import Predictor
from dense_perception.ros import dds, outputs
from dense_perception.ros.camera import Camera
from dense_perception.ros.cloud_settings import CloudSettings
from dense_perception.ros.compressed import colour_from_compressed
from dense_perception.ros.conditions import Conditions, Level
from dense_perception.ros.encodings import ImageError
from dense_perception.ros.image_times import ImageTimes
from dense_perception.ros.images import colour_from_image
from dense_perception.ros.metres import Metres
from dense_perception.ros.parameters import Parameters
from dense_perception.ros.pipeline import Pipeline, Result
from dense_perception.ros.statistics import Statistics
from dense_perception_msgs.msg import InferenceStatus, StageTime

Message = Image | CompressedImage


class FrameProcessor:
    """The way of a frame through the node; everything it needs is handed in.

    Per frame: decode, find intrinsics and mount, rectify, predict, publish what is wanted, report.

    :param image_topic: resolved name of the topic that the frames come from.
    """

    def __init__(self, node: Node, parameters: Parameters, predictor: Predictor,
                 image_topic: str, camera: Camera, metres: Metres, publishers: outputs.Outputs,
                 statistics: Statistics, conditions: Conditions) -> None:
        self._parameters = parameters
        self._image_topic = image_topic
        self._camera = camera
        self._metres = metres
        self._outputs = publishers
        self._statistics = statistics
        self._conditions = conditions
        self._times = ImageTimes(node.get_clock(), conditions, image_topic)
        self.serve(predictor)

    def serve(self, predictor: Predictor) -> None:
        """Go over to another model with the next frame."""
        self._predictor = predictor
        self._pipeline = Pipeline(predictor, self._parameters['output_size'])
        self._metric: bool | None = None
        self._mount_source = ''

    def describe(self) -> dict[str, str]:
        """Diagnostics values: is the depth of the last frame metric, and thanks to which mount."""
        scale = {None: 'none yet', True: 'metric', False: 'relative'}[self._metric]
        return {'depth': scale if self._predictor.has_depth else 'not in this model',
                'mount_source': self._mount_source or 'none', **self._metres.describe()}

    def process(self, msg: Message, arrived: float) -> Frame[None]:
        """Take one image from its message to its outputs, as a frame that somebody runs.

        The next frame may be begun, in another thread, while this one has its answer and is
        finished; frames are finished one by one in their order.

        :param arrived: when it came, on the monotonic clock.
        """
        wanted = self._outputs.wanted()
        age_ms = self._times.age_ms(msg.header)
        if self._times.begins_anew(msg.header):
            self._metres.forget()
            self._camera.forget()
        start = time.perf_counter()
        try:
            pixels, colour_order = (colour_from_image(msg) if isinstance(msg, Image)
                                    else colour_from_compressed(msg))
        except ImageError as error:
            self._refuse('image', str(error))
            return
        self._conditions.clear('image')
        height, width = pixels.shape[:2]
        self._check_network_size(width, height)
        calibration = self._camera.calibration(
            msg.header, width, height, self._pipeline.rectified_size(width, height))
        taken = self._metres.begin(msg.header, calibration and calibration.intrinsics)
        converted = time.perf_counter()
        rectification = calibration and calibration.rectification
        if rectification:
            pixels = rectification.apply(pixels)
        rectified = time.perf_counter()
        try:
            result = yield from self._pipeline.run(
                pixels, colour_order, taken.intrinsics, taken.mount.mount,
                outputs.wanted_clouds(wanted), CloudSettings.of(self._parameters),
                partial(self._metres.scale, taken), rectification and rectification.seen)
        except BackendError as error:
            self._refuse('inference', str(error))
            return
        self._conditions.clear('inference')
        self._check_split(result)
        predicted = time.perf_counter()
        info = calibration and partial(
            self._camera.output_info, calibration, result.width, result.height, msg.header)
        self._check_size(self._outputs.publish(result, msg.header, wanted, info))
        published = time.perf_counter()
        self._metric = result.metric
        self._mount_source = self._metres.finish(taken, result.metric)
        stages = {'convert': 1e3 * (converted - start)}
        if rectification:
            stages['rectify'] = 1e3 * (rectified - converted)
        stages |= {**result.stage_ms, 'publish': 1e3 * (published - predicted)}
        self._report(msg.header, result, stages, age_ms, arrived, outputs.STATUS in wanted)

    def _refuse(self, condition: str, reason: str) -> None:
        """Leave this frame out and say why; the node lives on."""
        self._statistics.refused(reason)
        self._conditions.raise_(condition, Level.ERROR,
                                f'{self._image_topic}: image refused: {reason}')

    def _report(self, header: Header, result: Result, stages: dict[str, float], age_ms: float,
                arrived: float, wanted: bool) -> None:
        latency_ms = self._times.age_ms(header)
        overhead = sum(stages.values()) - stages['inference']
        self._statistics.timed({**stages, 'overhead': overhead, 'age': age_ms,
                                'latency': latency_ms,
                                'in_node': 1e3 * (time.monotonic() - arrived)})
        counts = self._statistics.published()
        if wanted:
            self._outputs.publish_status(InferenceStatus(
                header=header, model=self._predictor.card.name, backend=self._predictor.backend,
                metric=result.metric, mount_source=self._mount_source,
                stages=[StageTime(name=n, milliseconds=float(np.float32(v)))
                        for n, v in stages.items()],
                latency_ms=float(np.float32(latency_ms)), age_ms=float(np.float32(age_ms)),
                frames_in=counts.frames_in, frames_out=counts.frames_out,
                dropped=counts.dropped, refused=counts.refused))

    def _check_network_size(self, width: int, height: int) -> None:
        advice = self._predictor.size_advice(width, height)
        if advice is None:
            self._conditions.clear('network_size')
        else:
            self._conditions.raise_('network_size', Level.WARN, advice)

    def _check_split(self, result: Result) -> None:
        if result.clouds.split_failed:
            self._conditions.raise_(
                'ground', Level.WARN, 'no depth/obstacles and depth/ground: the model has no '
                'class of obstacles.ground_classes, the mount is unknown, and no plane in view '
                'can be the ground')
        else:
            self._conditions.clear('ground')

    def _check_size(self, largest: int) -> None:
        if largest > dds.SEGMENT_BYTES and dds.shipped_profile_in_use():
            self._conditions.raise_(
                'segment', Level.WARN, f'a message of {largest / 2**20:.0f} MB exceeds the '
                f'{dds.SEGMENT_BYTES >> 20} MB shared-memory segment and may get lost; set '
                f'{dds.PROFILE_VARIABLE} to a copy of {dds.PROFILE} with a larger one')
        else:
            self._conditions.clear('segment')
